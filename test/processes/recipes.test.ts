import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { codeBlocksOf } from '../../scripts/code-blocks.cjs';
import type { TemporaryFolder } from '../support/temporary-folder.js';
import { createTemporaryFolder } from '../support/temporary-folder.js';
import { ROOT, useBuiltPackage } from './support/built-package.js';

const page = join(ROOT, 'docs/guide/testing-your-app.md');
const modules = join(ROOT, 'node_modules');

/** Without a cache, and on a machine that is busy with other work. */
const RUN_MAX_MS = 170_000;

/** A user's folder: the files of the page with these names, the packages, and this one as it is published. */
function projectOf(folder: string, names: readonly string[]): void {
  const blocks = codeBlocksOf(page);
  for (const name of names) {
    writeFileSync(join(folder, name), blocks.find(({ file }) => file === name)!.code);
  }
  const compilerOptions = { target: 'es2023', experimentalDecorators: true, emitDecoratorMetadata: true };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions }));
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  mkdirSync(join(folder, 'node_modules'));
  for (const name of readdirSync(modules)) {
    symlinkSync(join(modules, name), join(folder, 'node_modules', name));
  }
  symlinkSync(ROOT, join(folder, 'node_modules', 'nestjs-jobs'));
}

/** Its exit code, when it ends by itself, and what it has printed. */
function run(folder: string, args: readonly string[]): Promise<{ code: number | null; printed: string }> {
  const { NODE_ENV: _, JEST_WORKER_ID: __, ...env } = process.env;
  const child = spawn(process.execPath, args, { cwd: folder, env: { ...env, CI: 'true' }, timeout: RUN_MAX_MS });
  let printed = '';
  child.stdout.on('data', (chunk) => (printed += String(chunk)));
  child.stderr.on('data', (chunk) => (printed += String(chunk)));
  return new Promise((done) => child.once('close', (code) => done({ code, printed })));
}

describe('the recipe for tests of an application', () => {
  useBuiltPackage();
  let folder: TemporaryFolder;
  beforeEach(() => {
    folder = createTemporaryFolder();
  });
  afterEach(() => folder.remove());

  it.each([
    ['Jest', 'jest.config.mjs', ['jest/bin/jest.js', '--detectOpenHandles'], /Tests: +1 passed, 1 total/],
    ['Vitest', 'vitest.config.ts', ['vitest/vitest.mjs', 'run'], /Tests +1 passed \(1\)/],
  ])(
    'works with %s as it stands in the guide, and the process ends by itself',
    async (_, config, args, passed) => {
      projectOf(folder.path, ['mail.jobs.ts', 'mail.jobs.test.ts', config]);
      const [program, ...rest] = args as [string, ...string[]];
      const { code, printed } = await run(folder.path, [join(modules, program), ...rest]);
      expect(stripVTControlCharacters(printed)).toMatch(passed);
      expect(printed).not.toMatch(/open handle|did not exit|hanging/i);
      expect(code).toBe(0);
    },
    2 * RUN_MAX_MS,
  );
});
