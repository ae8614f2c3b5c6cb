import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { transformSync } from '@swc/core';
import { codeBlocksOf } from '../../scripts/code-blocks.cjs';
import type { TemporaryFolder } from '../support/temporary-folder.js';
import { createTemporaryFolder } from '../support/temporary-folder.js';
import { until } from '../support/wait.js';
import { ROOT, useBuiltPackage } from './support/built-package.js';

describe('the start in the readme', () => {
  useBuiltPackage();
  let folder: TemporaryFolder;
  beforeEach(() => {
    folder = createTemporaryFolder();
  });
  afterEach(() => folder.remove());

  it.each([
    ['a CommonJS module', 'commonjs', 'main.cjs'],
    ['an ES module', 'es6', 'main.mjs'],
  ] as const)('runs a job as %s, and ends on SIGTERM', async (_, type, file) => {
    const { code } = codeBlocksOf(join(ROOT, 'README.md')).find(({ file }) => file === 'main.ts')!;
    const compiled = transformSync(code, {
      module: { type },
      jsc: {
        target: 'es2022',
        parser: { syntax: 'typescript', decorators: true },
        transform: { legacyDecorator: true, decoratorMetadata: true },
      },
    });
    writeFileSync(join(folder.path, file), compiled.code);
    const modules = join(folder.path, 'node_modules');
    mkdirSync(modules);
    for (const name of readdirSync(join(ROOT, 'node_modules'))) {
      symlinkSync(join(ROOT, 'node_modules', name), join(modules, name));
    }
    symlinkSync(ROOT, join(modules, 'nestjs-jobs'));

    const app = spawn(process.execPath, [file], { cwd: folder.path });
    let printed = '';
    app.stdout.on('data', (chunk) => (printed += String(chunk)));
    app.stderr.on('data', (chunk) => (printed += String(chunk)));
    const closed = once(app, 'close');
    await until(() => printed.includes('Welcome, ada@example.org!') || app.exitCode !== null, { timeoutMs: 50_000 });
    app.kill('SIGTERM');
    await closed;
    expect(printed).toContain('Welcome, ada@example.org!');
    expect(printed).not.toMatch(/ERROR|WARN/);
  });
});
