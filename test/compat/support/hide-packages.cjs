// Preloaded by a command: hides the packages in HIDDEN, and loads the package in TYPEORM as TypeORM.
/** @type {{ _resolveFilename: (request: string, ...others: unknown[]) => string }} */
const loader = /** @type {never} */ (require('node:module'));

const hidden = (process.env.HIDDEN ?? '').split(',');
const resolve = loader._resolveFilename;

loader._resolveFilename = function (request, ...others) {
  if (hidden.includes(request)) {
    throw Object.assign(new Error(`Cannot find module '${request}'`), { code: 'MODULE_NOT_FOUND' });
  }
  return resolve.call(this, request === 'typeorm' ? (process.env.TYPEORM ?? request) : request, ...others);
};
