// Holds the client to its size: what a page loads, minified and compressed. A bundler, which sees all files at once,
// makes it a little smaller still.
import { readdirSync, readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { transformSync } from '@swc/core';

const BYTES_MAX = 8 * 1024;

process.chdir(new URL('..', import.meta.url).pathname);
const code = readdirSync('client')
  .map((file) => transformSync(readFileSync(`client/${file}`, 'utf8'), { filename: file, ...minified() }).code)
  .join('');
const bytes = gzipSync(code, { level: 9 }).length;

console.log(`The client has ${bytes} bytes, of ${BYTES_MAX} at most`);
process.exitCode = bytes > BYTES_MAX ? 1 : 0;

/** @returns {import('@swc/core').Options} */
function minified() {
  return {
    configFile: false,
    swcrc: false,
    minify: true,
    jsc: { target: 'es2023', parser: { syntax: 'typescript' }, minify: { compress: true, mangle: true } },
    module: { type: 'es6' },
  };
}
