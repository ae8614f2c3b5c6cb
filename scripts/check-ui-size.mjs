// Holds the admin UI to its size: the scripts that the first page loads, compressed as the server does it. What is loaded
// later, such as the code that draws charts, does not count.
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const BYTES_MAX = 90 * 1024;

process.chdir(new URL('../dist/ui', import.meta.url).pathname);
const page = readFileSync('index.html', 'utf8');
const scripts = [...page.matchAll(/(?:<script[^>]* src|<link rel="modulepreload"[^>]* href)="\.\/([^"]+)"/g)];
const bytes = scripts
  .map(([, path = '']) => gzipSync(readFileSync(path), { level: 9 }).length)
  .reduce((a, b) => a + b, 0);

console.log(`The admin UI loads ${bytes} bytes of script at first, of ${BYTES_MAX} at most`);
process.exitCode = scripts.length < 2 || bytes > BYTES_MAX ? 1 : 0;
