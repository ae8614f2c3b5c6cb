// Loaded with `node -r` by the programs of this folder: compiles their TypeScript as it is required, as Jest does for the
// tests. The package itself they take from dist/, as an application would.
// As a program it runs the file that its first argument names: in a folder of ES modules `node -r` would not compile it.
const { readFileSync } = require('node:fs');
const Module = require('node:module');
const { join, dirname, resolve: toAbsolute } = require('node:path');
const { transformSync } = require('@swc/core');

/** @type {(module: NodeModule, filename: string) => void} */
const load = (module, filename) => {
  const { code } = transformSync(readFileSync(filename, 'utf8'), {
    filename,
    sourceMaps: 'inline',
    jsc: {
      target: 'es2022',
      parser: { syntax: 'typescript', decorators: true },
      transform: { legacyDecorator: true, decoratorMetadata: true },
      keepClassNames: true,
    },
    module: { type: 'commonjs' },
  });
  /** @type {NodeModule & { _compile(code: string, filename: string): void }} */ (module)._compile(code, filename);
};
require.extensions['.ts'] = load;

/** @typedef {{ _resolveFilename(request: string, parent?: NodeModule, ...rest: unknown[]): string }} Resolver */
const resolver = /** @type {Resolver} */ (/** @type {unknown} */ (Module));
const resolveFilename = resolver._resolveFilename;

// Imports are written for the compiled files, './effects.js' for effects.ts.
/** @type {Resolver['_resolveFilename']} */
const resolve = (request, parent, ...rest) =>
  /^\.{1,2}\/.*\.js$/.test(request) && parent?.filename.endsWith('.ts')
    ? join(dirname(parent.filename), request.replace(/\.js$/, '.ts'))
    : resolveFilename.call(Module, request, parent, ...rest);
resolver._resolveFilename = resolve;

if (require.main === module) {
  process.argv.splice(1, 1);
  require(toAbsolute(/** @type {string} */ (process.argv[1])));
}
