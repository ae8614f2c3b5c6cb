import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { until } from '../../support/wait.js';

export const ROOT = join(__dirname, '../../..');
const BUILD_TIMEOUT_MS = 120_000;
/** Each program starts a Node of its own and loads TypeORM, or all of Nest: seconds, when the machine is busy. */
const TEST_TIMEOUT_MS = 60_000;

/**
 * For test files that start programs: these run on the package as it is published, so `dist/` is brought up to date
 * before the first test, once in a test run.
 */
export function useBuiltPackage(): void {
  jest.setTimeout(TEST_TIMEOUT_MS);
  beforeAll(buildOnce, BUILD_TIMEOUT_MS);
}

/** The temporary folder is the test run's own; whichever test file makes the folder in it first, builds. */
async function buildOnce(): Promise<void> {
  const folder = join(tmpdir(), 'nestjs-jobs-build');
  const done = join(folder, 'done');
  try {
    mkdirSync(folder);
  } catch {
    await until(() => existsSync(done), { timeoutMs: BUILD_TIMEOUT_MS, message: 'the build of dist/' });
    return;
  }
  await promisify(execFile)(process.execPath, ['scripts/build.mjs', '--if-needed'], { cwd: ROOT });
  writeFileSync(done, '');
}
