// Builds the package into dist/: CommonJS for `require`, ES modules for `import`, each with its types; and the admin UI.
// From scratch, unless `--if-needed` is given: then an up-to-date dist/ is left as it is.
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
const projects = ['tsconfig.cjs.json', 'tsconfig.esm.json'];

process.chdir(new URL('..', import.meta.url).pathname);
if (!process.argv.includes('--if-needed')) rmSync('dist', { recursive: true, force: true });

execFileSync(process.execPath, [tsc, '--build', ...projects], { stdio: 'inherit' });

// The package itself names no type, so Node would read the .js files of this folder as CommonJS.
writeFileSync('dist/esm/package.json', '{ "type": "module" }\n');

// The compiler leaves out CommonJS files, which are the same in both builds.
for (const file of ['lib/http/ui-folder.cjs', 'lib/engine/telemetry/optional-packages.cjs']) {
  for (const build of ['cjs', 'esm']) copyFileSync(file, `dist/${build}/${file}`);
}

if (!isUiUpToDate()) {
  const vite = join(createRequire(import.meta.url).resolve('vite/package.json'), '../bin/vite.js');
  execFileSync(process.execPath, [vite, 'build', '--config', 'ui/vite.config.mjs', '--logLevel', 'warn'], {
    stdio: 'inherit',
    // A test run has another one, which would build what developers debug: slower, and a fifth larger.
    env: { ...process.env, NODE_ENV: 'production' },
  });
}

/** Whether nothing that it is made of is newer. */
function isUiUpToDate() {
  const page = 'dist/ui/index.html';
  const sources = ['ui', 'client'].flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((path) => join(folder, path)),
  );
  const newest = Math.max(...[...sources, 'package-lock.json'].map((path) => statSync(path).mtimeMs));
  return existsSync(page) && statSync(page).mtimeMs >= newest;
}
