/** Returns `pg`, or `undefined` if it is not installed. */
export function loadPg(): unknown;
/** Returns `better-sqlite3`, or `undefined` if it is not installed. */
export function loadBetterSqlite(): unknown;
/** Returns `sqlite3`, or `undefined` if it is not installed. */
export function loadSqlite3(): unknown;
/** Returns `node:sqlite`, or `undefined` if this Node does not have it. */
export function loadNodeSqlite(): unknown;
