/* Settings of a connection, and the statements around a transaction. */

/** Takes the write lock at once: a transaction that reads first and then writes fails instead of waiting. */
export const BEGIN = 'BEGIN IMMEDIATE';
export const COMMIT = 'COMMIT';
export const ROLLBACK = 'ROLLBACK';

/** A transaction that only reads: all of its statements see the state of the first one. */
export const BEGIN_READ = 'BEGIN';

/** Overrides what the application's `prepareDatabase` may have set: no statement waits for a lock or keeps one. */
export const CONNECTION_PRAGMAS = ['PRAGMA busy_timeout = 0', 'PRAGMA locking_mode = NORMAL'] as const;

/** Lets readers and the one writer work at the same time. The file keeps the mode. */
export const WRITE_AHEAD_LOG = 'PRAGMA journal_mode = WAL';

/** Whether a commit waits for the disk. */
export const SYNCHRONOUS = { full: 'PRAGMA synchronous = FULL', normal: 'PRAGMA synchronous = NORMAL' } as const;

/** Reads the level as a number; 2 is `FULL`, 3 is `EXTRA`. */
export const SYNCHRONOUS_LEVEL = 'PRAGMA synchronous';

/** Reads the locking mode of the connection. */
export const LOCKING_MODE = 'PRAGMA locking_mode';

/** Reads a number that changes exactly when another connection has committed; costs about a microsecond. */
export const DATA_VERSION = 'PRAGMA data_version';

/** Reads the absolute path of the file. */
export const DATABASE_FILE = `SELECT file FROM pragma_database_list WHERE name = 'main'`;
