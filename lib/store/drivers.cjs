// CommonJS, so that both builds can load a driver in the middle of a call. Each is an optional peer of this package.

/** @param {() => unknown} load */
const ifInstalled = (load) => {
  try {
    return load();
  } catch {
    return undefined;
  }
};

/** Returns `pg`, or `undefined` if it is not installed. */
exports.loadPg = () => ifInstalled(() => require('pg'));

/** Returns `better-sqlite3`, or `undefined` if it is not installed. */
exports.loadBetterSqlite = () => ifInstalled(() => require('better-sqlite3'));

/** Returns `sqlite3`, or `undefined` if it is not installed. */
exports.loadSqlite3 = () => ifInstalled(() => require('sqlite3'));

/** Returns `node:sqlite`, or `undefined` if this Node does not have it. */
exports.loadNodeSqlite = () => ifInstalled(() => process.getBuiltinModule?.('node:sqlite'));
