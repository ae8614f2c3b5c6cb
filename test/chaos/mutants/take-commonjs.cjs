// Loaded with `node -r` before a mutant: its process takes the CommonJS build, since the exports of ES modules cannot be
// written over.
const Module = require('node:module');
const { join } = require('node:path');

/** @typedef {{ _resolveFilename(request: string, parent?: NodeModule, ...rest: unknown[]): string }} Resolver */
const resolver = /** @type {Resolver} */ (/** @type {unknown} */ (Module));
const resolveFilename = resolver._resolveFilename;

/** @type {Resolver['_resolveFilename']} */
resolver._resolveFilename = (request, ...rest) =>
  request === 'nestjs-jobs'
    ? join(__dirname, '../../../dist/cjs/lib/index.js')
    : resolveFilename.call(Module, request, ...rest);
