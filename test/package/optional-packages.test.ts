import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

interface Esbuild {
  build(options: object): Promise<{ readonly outputFiles: readonly { readonly text: string }[] }>;
}

/** The site's. */
const esbuild = createRequire(require.resolve('vitepress/package.json'))('esbuild') as Esbuild;

describe('a bundler without the optional packages', () => {
  /** No package can be resolved from here. */
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'jobs-bundle-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it.each([
    ['lib/store/drivers.cjs', ['pg', 'better-sqlite3', 'sqlite3']],
    ['lib/typeorm/packages.cjs', ['typeorm', '@nestjs/typeorm']],
    ['lib/engine/telemetry/optional-packages.cjs', ['@opentelemetry/api', 'prom-client']],
  ])('leaves them out of %s', async (file, packages) => {
    const copy = join(folder, basename(file));
    copyFileSync(join(__dirname, '../..', file), copy);
    const { outputFiles } = await esbuild.build({
      entryPoints: [copy],
      bundle: true,
      platform: 'node',
      format: 'cjs',
      write: false,
      logLevel: 'silent',
    });
    for (const name of packages) {
      expect(outputFiles[0]!.text).toContain(`require("${name}")`);
    }
  });
});
