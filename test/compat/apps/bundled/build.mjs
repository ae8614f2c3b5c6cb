import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

// Puts the application beside this file, with all of the package in it, into one minified ES module at the path that is given.

const here = dirname(fileURLToPath(import.meta.url));
const root = resolve(here, '../../../..');
const [file = 'main.mjs'] = process.argv.slice(2);

await build({
  configFile: false,
  logLevel: 'error',
  root,
  resolve: { alias: { 'nestjs-jobs': resolve(root, 'dist/esm/lib/index.js') } },
  build: {
    ssr: resolve(here, 'main.mjs'),
    outDir: dirname(file),
    emptyOutDir: false,
    minify: true,
    rollupOptions: { output: { format: 'es', entryFileNames: 'main.mjs', codeSplitting: false } },
  },
});
