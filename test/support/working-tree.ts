import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../processes/support/built-package.js';
import { TYPEORM } from './typeorm.js';

/** Parts of the repository that a program needs, beside node_modules. */
const parts = {
  /** The library as it is published. */
  built: ['dist', 'sample-app', 'test', 'package.json'],
  /** The library as it is written. */
  sources: ['lib', 'migrations', 'test', 'package.json'],
};

/**
 * The folder from which programs are started, so that `typeorm` is to them what it is to the tests: the repository, or a
 * copy of its parts with another TypeORM. Node looks for a package from where the file that asks for it really is, so what
 * asks for `typeorm` is copied; all other packages are links.
 */
export function prepareWorkingTree(kind: keyof typeof parts): string {
  const folder = join(tmpdir(), `${TYPEORM}-${kind}`);
  if (TYPEORM === 'typeorm') {
    return ROOT;
  }
  if (!existsSync(folder)) {
    const draft = mkdtempSync(`${folder}-`);
    parts[kind].forEach((part) => cpSync(join(ROOT, part), join(draft, part), { recursive: true }));
    linkPackages(join(ROOT, 'node_modules'), join(draft, 'node_modules'));
    try {
      renameSync(draft, folder);
    } catch {
      // Another test file has created it.
      rmSync(draft, { recursive: true });
    }
  }
  return folder;
}

function linkPackages(from: string, to: string): void {
  mkdirSync(join(to, '@nestjs'), { recursive: true });
  for (const name of [...readdirSync(from), ...readdirSync(join(from, '@nestjs')).map((name) => `@nestjs/${name}`)]) {
    if (name === '@nestjs/typeorm') {
      cpSync(join(from, name), join(to, name), { recursive: true });
    } else if (name !== '@nestjs') {
      symlinkSync(join(from, name === 'typeorm' ? TYPEORM : name), join(to, name));
    }
  }
}
