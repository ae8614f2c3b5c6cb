// CommonJS, so that both builds can load a driver in the middle of a call. Each is an optional peer of this package. Bundlers skip a
// missing package only where its `require` stands in `try`.

/** Returns `pg`, or `undefined` if it is not installed. */
exports.loadPg = () => {
  try {
    return require('pg');
  } catch {
    return undefined;
  }
};

/** Returns `better-sqlite3`, or `undefined` if it is not installed. */
exports.loadBetterSqlite = () => {
  try {
    return require('better-sqlite3');
  } catch {
    return undefined;
  }
};

/** Returns `sqlite3`, or `undefined` if it is not installed. */
exports.loadSqlite3 = () => {
  try {
    return require('sqlite3');
  } catch {
    return undefined;
  }
};

/** Returns `node:sqlite`, or `undefined` if this Node does not have it. */
exports.loadNodeSqlite = () => {
  try {
    return process.getBuiltinModule?.('node:sqlite');
  } catch {
    return undefined;
  }
};
