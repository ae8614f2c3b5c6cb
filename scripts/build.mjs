// Builds the package into dist/: CommonJS for `require`, ES modules for `import`, each with its types.
// From scratch, unless `--if-needed` is given: then an up-to-date dist/ is left as it is.
import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
const projects = ['tsconfig.cjs.json', 'tsconfig.esm.json'];

process.chdir(new URL('..', import.meta.url).pathname);
if (!process.argv.includes('--if-needed')) rmSync('dist', { recursive: true, force: true });

execFileSync(process.execPath, [tsc, '--build', ...projects], { stdio: 'inherit' });

// The package itself names no type, so Node would read the .js files of this folder as CommonJS.
writeFileSync('dist/esm/package.json', '{ "type": "module" }\n');
