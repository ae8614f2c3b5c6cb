import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT, useBuiltPackage } from '../processes/support/built-package.js';
import { json, refusal, useScriptedServer } from './support/scripted-server.js';

/** A user's program that imports the package by its public name. */
const PROGRAM = `async ({ JobsClient, JobsApiError, JobsService }) => {
  const jobs = new JobsClient({ baseUrl: process.argv[1], token: 'secret' });
  const job = await jobs.enqueue('mail', { to: 'a' }, { maxRetries: 1 });
  const error = await jobs.get('none').catch((reason) => reason);
  return [job.id, error instanceof JobsApiError, error.code, typeof JobsService];
}`;

const programs: [name: string, args: string[]][] = [
  ['import', ['--input-type=module', '-e', `import * as client from 'nestjs-jobs/client'; ${printed('client')}`]],
  ['require', ['--input-type=commonjs', '-e', printed("require('nestjs-jobs/client')")]],
];

function printed(client: string): string {
  return `(${PROGRAM})(${client}).then((told) => console.log(JSON.stringify(told)));`;
}

const server = useScriptedServer();
useBuiltPackage();

describe('the built client', () => {
  it.each(programs)('works in a Node program that loads it by %s', async (_, args) => {
    server.answers(json(201, { id: 'new' }), refusal(404, 'JOB_NOT_FOUND'));

    // The package resolves its own name through its exports.
    const { stdout } = await promisify(execFile)(process.execPath, [...args, server.url], { cwd: ROOT });
    expect(JSON.parse(stdout)).toEqual(['new', true, 'JOB_NOT_FOUND', 'function']);
    expect(server.requests).toMatchObject([
      { method: 'POST', url: '/api/jobs/enqueue', headers: { authorization: 'Bearer secret' } },
      { method: 'GET', url: '/api/jobs/none' },
    ]);
  });

  it.each([
    ['ES modules', 'dist/esm/client', /\bfrom '(.*)'/g],
    ['CommonJS', 'dist/cjs/client', /\brequire\("(.*)"\)/g],
  ])('in %s imports only its own files', (_, folder, imports) => {
    const files = readdirSync(join(ROOT, folder)).filter((file) => file.endsWith('.js'));
    const taken = files.flatMap((file) =>
      Array.from(readFileSync(join(ROOT, folder, file), 'utf8').matchAll(imports), (match) => match[1]!),
    );

    expect(taken.length).toBeGreaterThan(files.length);
    expect(taken.filter((path) => !/^\.\/[a-z-]+\.js$/.test(path))).toEqual([]);
  });
});
