// Loaded with `node -r` before programs without Nest: their `nestjs-jobs` is the engine alone, which halves the time that a process
// takes to start. It is the CommonJS build, whose exports a mutant can write over.
const Module = require('node:module');
const { join } = require('node:path');

/** @typedef {{ _resolveFilename(request: string, parent?: NodeModule, ...rest: unknown[]): string }} Resolver */
const resolver = /** @type {Resolver} */ (/** @type {unknown} */ (Module));
const resolveFilename = resolver._resolveFilename;

/** @type {Resolver['_resolveFilename']} */
resolver._resolveFilename = (request, ...rest) =>
  request === 'nestjs-jobs' ? join(__dirname, 'engine-alone.cjs') : resolveFilename.call(Module, request, ...rest);
