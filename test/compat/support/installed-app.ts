import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { npm } from './npm.js';

const APPS = join(__dirname, '../apps');
const EXAMPLES = join(__dirname, '../../../examples');
/** What the folder of an example contains once somebody has started it there. */
const NOT_COPIED = ['node_modules', 'dist', 'generated'];
const fromHere = createRequire(__filename);
const TSC = fromHere.resolve('typescript/bin/tsc');
const SQLITE_ADDON = dirname(fromHere.resolve('better-sqlite3/package.json'));

/** `plain` has neither TypeORM nor a driver, and a program of its own. */
export type AppName = 'nest-11' | 'nest-12' | 'nest-11-oldest' | 'nest-12-oldest' | 'nest-12-sqlite-13' | 'plain';

export type ExampleName = 'prisma' | 'drizzle';

/** Returns the version of a package in an application's lock file. */
export function lockedVersion(app: AppName, packageName: string): string {
  const lock = JSON.parse(readFileSync(join(APPS, app, 'package-lock.json'), 'utf8')) as LockFile;
  return lock.packages[`node_modules/${packageName}`]!.version;
}

interface LockFile {
  readonly packages: Readonly<Record<string, { readonly version: string }>>;
}

/** A user's application in a folder outside this repository, with the packages of its manifest and this package installed. */
export class InstalledApp {
  private constructor(readonly folder: string) {}

  /** Installs the application and then the package's tarball. npm fails if a peer does not match. */
  static async install(name: AppName, tarball: string): Promise<InstalledApp> {
    return InstalledApp.copy([join(APPS, 'shared'), join(APPS, name)], tarball);
  }

  /** Installs one of `examples/` in the same way. */
  static async installExample(name: ExampleName, tarball: string): Promise<InstalledApp> {
    return InstalledApp.copy([join(EXAMPLES, name)], tarball);
  }

  private static async copy(sources: readonly string[], tarball: string): Promise<InstalledApp> {
    const folder = await mkdtemp(join(tmpdir(), `${basename(sources.at(-1)!)}-`));
    const app = new InstalledApp(folder);
    for (const source of sources) {
      await cp(source, folder, { recursive: true, filter: (path) => !NOT_COPIED.includes(basename(path)) });
    }
    await npm(folder, 'ci');
    await app.add(tarball);
    return app;
  }

  /** Installs another package, or another version of one. */
  async add(specification: string): Promise<void> {
    await npm(this.folder, 'install', specification);
    // The addon up to version 12 needs a compiler and a minute. The repository's installation has already compiled it.
    const addon = join(this.folder, 'node_modules/better-sqlite3');
    if (!existsSync(addon) || existsSync(join(addon, 'prebuilds'))) return;
    await rm(addon, { recursive: true });
    await symlink(SQLITE_ADDON, addon);
  }

  async write(path: string, text: string): Promise<void> {
    const file = join(this.folder, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
  }

  version(packageName: string): string {
    const path = join(this.folder, 'node_modules', packageName, 'package.json');
    return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version;
  }

  has(path: string): boolean {
    return existsSync(join(this.folder, path));
  }

  /** Compiles the application to `out/`. @throws on compiler errors. */
  async build(): Promise<void> {
    const complaints = await this.complaints();
    if (complaints.length > 0) {
      throw new Error(complaints.join('\n'));
    }
  }

  /** Compiles the application with other options and returns the compiler output by line. */
  async complaints(...options: string[]): Promise<string[]> {
    try {
      await promisify(execFile)(process.execPath, [TSC, '--pretty', 'false', ...options], { cwd: this.folder });
      return [];
    } catch (error) {
      const { stdout } = error as { stdout?: string };
      if (!stdout) throw error;
      return stdout.trim().split('\n');
    }
  }

  /** Runs a program with this Node and returns its output. @throws if it fails. */
  async run(node: string, args: string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
    const { stdout } = await promisify(execFile)(node, args, { cwd: this.folder, env: { ...process.env, ...env } });
    return stdout;
  }
}
