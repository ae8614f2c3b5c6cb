import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { ROOT, useBuiltPackage } from '../processes/support/built-package.js';
import { packagesBehind } from './support/imports.js';
import type { Manifest, PackedPackage } from './support/packed-package.js';
import { entriesOf, filesOf, packPackage } from './support/packed-package.js';

const MB = 1_000_000;

/** The files a user needs: code and types of both builds, the admin UI, and the documentation. */
const EXPECTED = [
  /^dist\/(cjs|esm)\/.+\.(js|d\.ts)$/,
  // Both module systems can load these files.
  /^dist\/(cjs|esm)\/lib\/.+\.cjs$/,
  /^dist\/esm\/package\.json$/,
  /^dist\/ui\//,
  /^docs\/.+\.md$/,
  // The dashboard of docs/guide/watching-it.md.
  /^docs\/guide\/jobs-dashboard\.json$/,
  /^((CHANGELOG|CONTRIBUTING|README|SECURITY)\.md|LICENSE|package\.json)$/,
];

let packed: PackedPackage;

useBuiltPackage();

beforeAll(async () => {
  packed = await packPackage();
});

describe('the tarball', () => {
  it('contains the files needed to use the package and no others', () => {
    const files = filesIn(packed.folder);
    expect(files.filter((file) => !EXPECTED.some((pattern) => pattern.test(file)))).toEqual([]);
    expect(files).toEqual(
      expect.arrayContaining(['CHANGELOG.md', 'LICENSE', 'README.md', 'docs/guide/getting-started.md']),
    );
  });

  it('contains no code or types whose source is gone', () => {
    const built = filesIn(packed.folder).flatMap(
      (file) => /^dist\/(?:cjs|esm)\/(.+?)(?:\.d\.ts|\.js)$/.exec(file) ?? [],
    );
    const sources = built.filter((_, index) => index % 2 === 1).map((name) => `${name}.ts`);
    expect(sources).toContain('lib/index.ts');
    expect(sources.filter((source) => !existsSync(join(ROOT, source)))).toEqual([]);
  });

  it('imports only its dependencies and peers', () => {
    const { manifest, folder } = packed;
    const imported = importedBy(...filesIn(folder).filter((file) => /^dist\/(cjs|esm)\/.*\.(js|d\.ts)$/.test(file)));
    expect(imported.size).toBeGreaterThan(0);
    expect([...imported].filter((name) => !declaredBy(manifest).includes(name))).toEqual([]);
  });

  it('declares only packages it imports, and reflect-metadata', () => {
    const { manifest } = packed;
    const imported = importedBy(...entriesOf(manifest).flatMap((entry) => filesOf(manifest, entry)));
    const others = declaredBy(manifest).filter((name) => !imported.has(name));
    expect(others.sort()).toEqual(['reflect-metadata']);
  });

  it('needs no other package for the client entry', () => {
    const { manifest } = packed;
    expect([...importedBy(...filesOf(manifest, `${manifest.name}/client`))]).toEqual([]);
  });

  it('is about as large as the readme says', () => {
    const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
    const [, packedMb, installedMb] = /\| Size \| under ([\d.]+) MB to download, under ([\d.]+) MB installed/.exec(
      readme,
    )!;
    const dependencies = Object.keys(packed.manifest.dependencies).map((name) => join(ROOT, 'node_modules', name));

    expectNearlyFills(statSync(packed.tarball).size, Number(packedMb) * MB);
    expectNearlyFills([packed.folder, ...dependencies].map(sizeOf).reduce(sum), Number(installedMb) * MB);
  });
});

/** Returns the packages that the files import. */
function importedBy(...files: string[]): Set<string> {
  return packagesBehind(packed.folder, files);
}

function declaredBy({ dependencies, peerDependencies }: Manifest): string[] {
  return [...Object.keys(dependencies), ...Object.keys(peerDependencies)];
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((file) => file.isFile())
    .map((file) => relative(folder, join(file.parentPath, file.name)));
}

function sizeOf(folder: string): number {
  return filesIn(folder)
    .map((file) => statSync(join(folder, file)).size)
    .reduce(sum);
}

function sum(one: number, other: number): number {
  return one + other;
}

function expectNearlyFills(bytes: number, bound: number): void {
  expect(bytes).toBeLessThan(bound);
  expect(bytes).toBeGreaterThan(bound / 2);
}
