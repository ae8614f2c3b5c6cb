import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const BENCH = fileURLToPath(new URL('.', import.meta.url));
const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Folders with a manifest and a lock of their own, and what npm is told there. */
const INSTALLATIONS = [
  { folder: BENCH, flags: [] },
  { folder: join(BENCH, 'typeorm-0.3'), flags: [] },
  // The package of Node is its binary; a script would only put it where it is not wanted.
  { folder: join(BENCH, 'newer-node'), flags: ['--ignore-scripts'] },
];

/** Brings everything here that a measurement needs, and the library as it would be published. */
export function install() {
  for (const { folder, flags } of INSTALLATIONS) {
    if (!isInstalled(folder)) {
      console.error(`installing ${folder} …`);
      npm(folder, 'ci', '--no-audit', '--no-fund', '--loglevel=error', ...flags);
    }
  }
  execFileSync(process.execPath, [join(ROOT, 'scripts/build.mjs'), '--if-needed'], { stdio: ['ignore', 2, 2] });
  unpackLibrary([BENCH, join(BENCH, 'typeorm-0.3')]);
}

/** @param {string} folder */
function isInstalled(folder) {
  const installed = join(folder, 'node_modules/.package-lock.json');
  return existsSync(installed) && statSync(installed).mtimeMs >= statSync(join(folder, 'package-lock.json')).mtimeMs;
}

/** The packed package, unpacked as npm does it; what it depends on stands in the manifests here. @param {string[]} folders */
function unpackLibrary(folders) {
  const temporary = mkdtempSync(join(tmpdir(), 'nestjs-jobs-bench-'));
  try {
    const name = npm(ROOT, 'pack', '--ignore-scripts', '--silent', '--pack-destination', temporary).trim();
    for (const folder of folders) {
      const target = join(folder, 'node_modules/nestjs-jobs');
      rmSync(target, { recursive: true, force: true });
      mkdirSync(target, { recursive: true });
      execFileSync('tar', ['-xzf', join(temporary, name), '-C', target, '--strip-components=1']);
    }
  } finally {
    rmSync(temporary, { recursive: true });
  }
}

/** @param {string} folder @param {string[]} args */
function npm(folder, ...args) {
  // npm tells its scripts where they are; one that is started inside another must not believe that. And compiler flags of the
  // environment would build another SQLite than applications have.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(npm_.*|(C|CXX|CPP|LD)FLAGS)$/i.test(name)),
  );
  return execFileSync('npm', args, { cwd: folder, encoding: 'utf8', env, stdio: ['ignore', 'pipe', 2] });
}
