import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from '../../processes/support/built-package.js';

const run = promisify(execFile);

/** What of package.json tells a user's machine how to install and load the package. */
export interface Manifest {
  readonly name: string;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta: Readonly<Record<string, unknown>>;
  readonly exports: Readonly<Record<string, Target>>;
}

/** A file, or one for each condition. */
type Target = string | { readonly [condition: string]: Target };

/** The package as it would be published, in a folder of the test run. */
export interface PackedPackage {
  readonly tarball: string;
  /** Where the tarball is unpacked. */
  readonly folder: string;
  readonly manifest: Manifest;
}

/** Packs `dist/` as it stands: see `useBuiltPackage`. */
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

/** What a user may write after `import … from`, but for the manifest itself. */
export function entriesOf({ name, exports }: Manifest): string[] {
  return Object.keys(exports)
    .filter((subpath) => subpath !== './package.json')
    .map((subpath) => subpath.replace('.', name));
}

/** The files that an entry leads to, whatever the condition. */
export function filesOf({ name, exports }: Manifest, entry: string): string[] {
  const files = (target: Target): string[] =>
    typeof target === 'string' ? [target] : Object.values(target).flatMap(files);
  return [...new Set(files(exports[entry.replace(name, '.')]!))];
}
