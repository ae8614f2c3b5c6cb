/** @slow */

import { execFile, spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { codeBlocksOf } from '../../scripts/code-blocks.cjs';
import { ROOT, useBuiltPackage } from '../processes/support/built-package.js';
import { createSqliteFile } from '../support/databases.js';
import { findFreePort } from '../support/free-port.js';
import { until } from '../support/wait.js';
import { prepareWorkingTree } from '../support/working-tree.js';

const STARTS_IN_MS = 30_000;
/** Marks a command in the documentation that is expected to fail. */
const REFUSED = /# refused with (\d{3})$/;

useBuiltPackage();

describe('commands of the documentation', () => {
  let app: ChildProcess;
  let folder: string;
  let port: number;
  let remove: () => Promise<void>;

  beforeAll(async () => {
    const file = await createSqliteFile();
    folder = dirname(file.path);
    remove = file.remove;
    port = await findFreePort();
    const tree = prepareWorkingTree('built');
    const compiler = join(tree, 'test/processes/support/register-typescript.cjs');
    app = spawn(process.execPath, ['-r', compiler, join(tree, 'sample-app/main.ts')], {
      cwd: folder,
      stdio: 'ignore',
      env: {
        ...process.env,
        PORT: String(port),
        DATABASE_URL: `better-sqlite3:${file.path}`,
        JOBS_ADMIN_TOKEN: 'secret',
      },
    });
    const answers = () =>
      fetch(`http://localhost:${port}/api/jobs`)
        .then(({ status }) => status === 401)
        .catch(() => false);
    await until(answers, { timeoutMs: STARTS_IN_MS, message: 'the sample app' });
    installCurl(join(folder, 'bin'));
  }, 150_000);

  afterAll(async () => {
    if (app.exitCode === null) {
      app.kill('SIGKILL');
      await once(app, 'exit');
    }
    await remove();
  });

  it.each(['docs/http-api.md', 'docs/access-control.md', 'README.md'])('in %s succeed as described', async (page) => {
    const blocks = codeBlocksOf(join(ROOT, page)).filter(
      ({ language, code }) => language === 'sh' && /\bcurl /.test(code),
    );
    const script = blocks.map(({ code }) => code).join('\n');
    const expected = script
      .split('\n')
      .filter((line) => /\bcurl /.test(line))
      .map((line) => REFUSED.exec(line)?.[1] ?? '2xx');
    expect(expected.length).toBeGreaterThan(0);

    const { stderr } = await promisify(execFile)(
      'sh',
      ['-euc', script.replaceAll('localhost:3000', `localhost:${port}`)],
      {
        cwd: folder,
        env: {
          ...process.env,
          PATH: `${join(folder, 'bin')}${delimiter}${process.env.PATH}`,
          JOBS_ADMIN_TOKEN: 'secret',
        },
      },
    );
    const statuses = stderr.match(/(?<=^curl: )\d{3}$/gm)!;
    expect(
      statuses.map((status, index) => (expected[index] === '2xx' ? status.replace(/^2../, '2xx') : status)),
    ).toEqual(expected);
  });
});

/**
 * For machines without `curl`, and slower: it sends the request, prints the response and writes the status to stderr. An unknown option
 * makes it fail.
 */
const REPLACEMENT = `#!${process.execPath}
const { parseArgs } = require('node:util');
const text = (short) => ({ type: 'string', short });
const { values, positionals: [address] } = parseArgs({
  allowPositionals: true,
  options: {
    silent: { type: 'boolean', short: 's' },
    'no-buffer': { type: 'boolean', short: 'N' },
    'max-time': { type: 'string' },
    header: { ...text('H'), multiple: true },
    data: text('d'),
    request: text('X'),
  },
});
const headers = (values.header ?? []).map((line) => line.split(/:\\s*(.*)/s).slice(0, 2));
const method = values.request ?? (values.data === undefined ? 'GET' : 'POST');
const signal = AbortSignal.timeout(Number(values['max-time'] ?? 30) * 1000);
const url = address.includes('://') ? address : 'http://' + address;
fetch(url, { method, headers, body: values.data, signal })
  .then(async (response) => {
    console.error('curl: ' + response.status);
    for await (const chunk of response.body ?? []) process.stdout.write(chunk);
  })
  .catch((error) => {
    console.error(String(error));
    process.exitCode = 28;
  });
`;

/** A `curl` that writes the status to stderr too. */
function installCurl(bin: string): void {
  mkdirSync(bin);
  const { stdout: path } = spawnSync('sh', ['-c', 'command -v curl'], { encoding: 'utf8' });
  const withStatus = `#!/bin/sh\nexec ${path.trim()} --write-out '%{stderr}curl: %{http_code}\\n' "$@"\n`;
  writeFileSync(join(bin, 'curl'), path ? withStatus : REPLACEMENT);
  chmodSync(join(bin, 'curl'), 0o755);
}
