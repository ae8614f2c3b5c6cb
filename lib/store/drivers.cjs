// CommonJS, so that both builds can load a driver in the middle of a call. Each is an optional peer of this package.

/** Returns `pg`, or `undefined` if it is not installed. */
exports.loadPg = () => {
  try {
    return require('pg');
  } catch {
    return undefined;
  }
};
