import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from '../../processes/support/built-package.js';

const run = promisify(execFile);

/** The fields of package.json that decide how the package is installed and loaded. */
export interface Manifest {
  readonly name: string;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta: Readonly<Record<string, unknown>>;
  readonly bin: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, Target>>;
}

/** A file, or a file per condition. */
type Target = string | { readonly [condition: string]: Target };

/** The package as it would be published, in a folder of the test run. */
export interface PackedPackage {
  readonly tarball: string;
  /** The folder of the unpacked tarball. */
  readonly folder: string;
  readonly manifest: Manifest;
}

/** Packs the current `dist/`: see `useBuiltPackage`. */
export async function packPackage(): Promise<PackedPackage> {
  const destination = await mkdtemp(join(tmpdir(), 'pack-'));
  const pack = ['pack', '--ignore-scripts', '--silent', '--pack-destination', destination];
  const { stdout } = await run('npm', pack, { cwd: ROOT });
  const tarball = join(destination, stdout.trim());
  await run('tar', ['-xzf', tarball, '-C', destination]);

  const folder = join(destination, 'package');
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest;
  return { tarball, folder, manifest };
}

/** Returns the import specifiers of a user, without the manifest. */
export function entriesOf({ name, exports }: Manifest): string[] {
  return Object.keys(exports)
    .filter((subpath) => subpath !== './package.json')
    .map((subpath) => subpath.replace('.', name));
}

/** Returns the files of an entry for all conditions. */
export function filesOf({ name, exports }: Manifest, entry: string): string[] {
  const files = (target: Target): string[] =>
    typeof target === 'string' ? [target] : Object.values(target).flatMap(files);
  return [...new Set(files(exports[entry.replace(name, '.')]!))];
}
