import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { until } from '../../support/wait.js';

export const ROOT = join(__dirname, '../../..');
/** For the hook that builds. */
export const BUILD_TIMEOUT_MS = 120_000;

let built: Promise<void> | undefined;

/** Brings `dist/` up to date, once in a test run: the programs of this folder run on the package as it is published. */
export function buildPackage(): Promise<void> {
  built ??= buildOnce();
  return built;
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
