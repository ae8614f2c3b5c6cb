// Packs the package as `npm publish` would, and asks two tools whether every way of importing it finds its code and its
// types: publint reads the manifest as Node and the bundlers do, attw as the compiler does.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';

process.chdir(new URL('..', import.meta.url).pathname);
execFileSync(process.execPath, ['scripts/build.mjs', '--if-needed'], { stdio: 'inherit' });

const folder = mkdtempSync(join(tmpdir(), 'nestjs-jobs-pack-'));
try {
  const pack = ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder];
  const tarball = join(folder, execFileSync('npm', pack, { encoding: 'utf8' }).trim());
  await lint(tarball);
  checkTypes(tarball);
} finally {
  rmSync(folder, { recursive: true });
}

/** @param {string} tarball */
async function lint(tarball) {
  const bytes = readFileSync(tarball);
  const { messages, pkg } = await publint({ pack: { tarball: Uint8Array.from(bytes).buffer }, strict: true });
  for (const message of messages) {
    console.error(`publint: ${message.type}: ${formatMessage(message, pkg, { color: false })}`);
    process.exitCode = 1;
  }
}

/**
 * Without the resolution of Node 10, which knows no `exports`: TypeScript 6 has dropped it.
 * @param {string} tarball
 */
function checkTypes(tarball) {
  const attw = join(
    dirname(createRequire(import.meta.url).resolve('@arethetypeswrong/cli/package.json')),
    'dist/index.js',
  );
  try {
    execFileSync(process.execPath, [attw, tarball, '--profile', 'node16', '--format', 'ascii'], { encoding: 'utf8' });
  } catch (error) {
    console.error(/** @type {{ stdout?: string }} */ (error).stdout ?? error);
    process.exitCode = 1;
  }
}
