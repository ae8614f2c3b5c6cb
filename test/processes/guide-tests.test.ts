/**
 * @matrix all
 * @slow
 */

import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { codeBlocksOf } from '../../scripts/code-blocks.cjs';
import type { TemporaryFolder } from '../support/temporary-folder.js';
import { createTemporaryFolder } from '../support/temporary-folder.js';
import { quick } from '../support/tier.js';
import { ROOT, useBuiltPackage } from './support/built-package.js';

const page = join(ROOT, 'docs/guide/testing-your-app.md');
const modules = join(ROOT, 'node_modules');

/** Without a cache, on a busy machine. */
const RUN_MAX_MS = 170_000;

/** Creates a user's project: these files of the page, the packages, and this package as published. */
function createProject(folder: string, names: readonly string[]): void {
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

/** Returns the exit code and the output. */
function run(folder: string, args: readonly string[]): Promise<{ code: number | null; printed: string }> {
  const { NODE_ENV: _, JEST_WORKER_ID: __, ...env } = process.env;
  const child = spawn(process.execPath, args, { cwd: folder, env: { ...env, CI: 'true' }, timeout: RUN_MAX_MS });
  let printed = '';
  child.stdout.on('data', (chunk) => (printed += String(chunk)));
  child.stderr.on('data', (chunk) => (printed += String(chunk)));
  return new Promise((done) => child.once('close', (code) => done({ code, printed })));
}

describe('the guide on tests of an application', () => {
  useBuiltPackage();
  let folder: TemporaryFolder;
  beforeEach(() => {
    folder = createTemporaryFolder();
  });
  afterEach(() => folder.remove());

  async function expectToWork(config: string, program: string, argument: string, passed: RegExp): Promise<void> {
    createProject(folder.path, ['mail.jobs.ts', 'mail.jobs.test.ts', config]);
    const { code, printed } = await run(folder.path, [join(modules, program), argument]);
    expect(stripVTControlCharacters(printed)).toMatch(passed);
    expect(printed).not.toMatch(/open handle|did not exit|hanging/i);
    expect(code).toBe(0);
  }

  it(
    'works with Jest as written, and the process ends',
    () => expectToWork('jest.config.mjs', 'jest/bin/jest.js', '--detectOpenHandles', /Tests: +3 passed, 3 total/),
    2 * RUN_MAX_MS,
  );
  quick(
    'works with Vitest as written, and the process ends',
    () => expectToWork('vitest.config.ts', 'vitest/vitest.mjs', 'run', /Tests +3 passed \(3\)/),
    2 * RUN_MAX_MS,
  );
});
