import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { until } from '../../support/wait.js';

export const ROOT = join(__dirname, '../../..');
const BUILD_TIMEOUT_MS = 300_000;
/** Each program starts its own Node and loads TypeORM or Nest, which takes seconds on a busy machine. */
const TEST_TIMEOUT_MS = 60_000;

/**
 * For test files that start programs. These run on the published form of the package, so `dist/` is built once per test
 * run, before the first test.
 */
export function useBuiltPackage(): void {
  jest.setTimeout(TEST_TIMEOUT_MS);
  beforeAll(buildOnce, BUILD_TIMEOUT_MS);
}

/** The temporary folder belongs to the test run. The first test file that creates this folder builds. */
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
