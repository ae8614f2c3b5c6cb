// Loaded with `node -r`: `nestjs-jobs` is the source of the library, also for the drivers, whose folders have manifests of their own.
const Module = require('node:module');
const { join } = require('node:path');

const LIB = join(__dirname, '../../../lib');
const files = new Map([
  ['nestjs-jobs', join(LIB, 'index.ts')],
  ['nestjs-jobs/orm', join(LIB, 'orm/index.ts')],
]);

/** @typedef {{ _resolveFilename(request: string, ...rest: unknown[]): string }} Resolver */
const resolver = /** @type {Resolver} */ (/** @type {unknown} */ (Module));
const resolveFilename = resolver._resolveFilename;

/** @type {Resolver['_resolveFilename']} */
resolver._resolveFilename = (request, ...rest) => files.get(request) ?? resolveFilename.call(Module, request, ...rest);
