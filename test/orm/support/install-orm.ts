import { execFileSync } from 'node:child_process';
import { existsSync, rmSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { OrmDriver } from './orm-driver.js';

const ROOT = resolve(__dirname, '..');

/** The folders of the drivers. `pg` comes from the installation of the repository. */
export const ORMS = ['pg', 'postgres-js', 'knex', 'kysely', 'drizzle', 'sequelize', 'mikro-orm', 'prisma'] as const;
export type OrmName = (typeof ORMS)[number];

/** Installs the packages of all ORMs. Tests that run side by side in processes of their own cannot do that. */
export function installOrms(): void {
  for (const name of ORMS) installOrm(name);
}

/** Installs the packages of an ORM from its lock file, unless they are installed. */
function installOrm(name: OrmName): void {
  const folder = join(ROOT, name);
  const lock = join(folder, 'package-lock.json');
  if (!existsSync(lock)) return;
  if (isOlder(join(folder, 'node_modules/.package-lock.json'), lock)) {
    const flags = ['--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
    execFileSync('npm', ['ci', ...flags], { cwd: folder, stdio: 'inherit' });
    // The repository has the compiled one.
    rmSync(join(folder, 'node_modules/better-sqlite3'), { recursive: true, force: true });
  }
  if (name === 'prisma' && isOlder(join(folder, 'generated/sqlite/index.js'), join(folder, 'sqlite.prisma'))) {
    generateClients(folder);
  }
}

const isOlder = (made: string, source: string): boolean =>
  !existsSync(made) || statSync(made).mtimeMs < statSync(source).mtimeMs;

function generateClients(folder: string): void {
  const cli = join(folder, 'node_modules/prisma/build/index.js');
  // Only commands about databases need the engine: any program will do, and nothing is downloaded.
  const env = { ...process.env, PRISMA_SCHEMA_ENGINE_BINARY: process.execPath, CHECKPOINT_DISABLE: '1' };
  for (const schema of ['postgres', 'sqlite']) {
    execFileSync(process.execPath, [cli, 'generate', '--schema', `${schema}.prisma`], { cwd: folder, env });
  }
}

export function loadDriver(name: OrmName): OrmDriver {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- the packages of the others stay out of this test
  return (require(`../${name}/driver`) as { driver: OrmDriver }).driver;
}
