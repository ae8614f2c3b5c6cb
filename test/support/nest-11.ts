import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';

const SOURCE = resolve(__dirname, '../nest-11');
/** Below node_modules, so that its packages find rxjs, typeorm and reflect-metadata of the repository. */
const FOLDER = resolve(__dirname, '../../node_modules/.cache/nest-11');
const LOCK = 'package-lock.json';
/** npm writes this file last. */
const INSTALLED = join(FOLDER, 'node_modules/.package-lock.json');

/** Installs the packages of Nest 11 from the lock file in test/nest-11, unless they are installed. */
export function installNest11(): void {
  const lockIn = (folder: string): string => readFileSync(join(folder, LOCK), 'utf8');
  if (existsSync(INSTALLED) && lockIn(FOLDER) === lockIn(SOURCE)) return;
  rmSync(FOLDER, { recursive: true, force: true });
  cpSync(SOURCE, FOLDER, { recursive: true });
  const flags = ['--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  execFileSync('npm', ['ci', ...flags], { cwd: FOLDER, stdio: 'inherit' });
}
