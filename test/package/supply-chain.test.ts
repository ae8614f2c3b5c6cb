import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(__dirname, '../..');

interface Manifest {
  readonly scripts: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
}

interface LockedPackage {
  readonly version?: string;
  readonly integrity?: string;
  readonly hasInstallScript?: boolean;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly dev?: boolean;
}

function read<T>(name: string): T {
  return JSON.parse(readFileSync(join(ROOT, name), 'utf8')) as T;
}

describe('an installation of this package', () => {
  const manifest = read<Manifest>('package.json');
  const locked = Object.entries(read<{ packages: Record<string, LockedPackage> }>('package-lock.json').packages);

  it('adds one dependency, which has no dependencies and no install script', () => {
    expect(Object.keys(manifest.dependencies)).toEqual(['croner']);
    for (const name of Object.keys(manifest.dependencies)) {
      const own = locked.filter(([path]) => path === `node_modules/${name}`);
      expect(own.map(([, { hasInstallScript }]) => hasInstallScript)).toEqual([undefined]);
      expect(own.map(([, { dependencies }]) => dependencies)).toEqual([undefined]);
    }
  });

  it('runs no script', () => {
    const atInstall = ['preinstall', 'install', 'postinstall', 'prepare', 'preprepare', 'postprepare'];
    expect(Object.keys(manifest.scripts).filter((name) => atInstall.includes(name))).toEqual([]);
  });

  it('is built from packages with checksums in the lock file', () => {
    const unknown = locked.filter(([path, { integrity }]) => path !== '' && !integrity?.startsWith('sha512-'));
    expect(unknown.map(([path]) => path)).toEqual([]);
  });
});
