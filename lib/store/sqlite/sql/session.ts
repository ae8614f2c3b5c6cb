/** A write takes the lock at once: a read that turns into a write would fail instead of waiting. */
export const BEGIN = 'BEGIN IMMEDIATE';
export const COMMIT = 'COMMIT';
export const ROLLBACK = 'ROLLBACK';

/** What an application's `prepareDatabase` may have set otherwise: no wait blocks the tick, no lock outlives a statement. */
export const CONNECTION_PRAGMAS = ['PRAGMA busy_timeout = 0', 'PRAGMA locking_mode = NORMAL'] as const;

/** Readers and the one writer do not block each other. The mode stays with the file. */
export const WRITE_AHEAD_LOG = 'PRAGMA journal_mode = WAL';

/** Whether a commit waits for the disk. */
export const SYNCHRONOUS = { full: 'PRAGMA synchronous = FULL', normal: 'PRAGMA synchronous = NORMAL' } as const;

/** How much a commit waits for, as a number; 2 is `FULL`, 3 is more. */
export const SYNCHRONOUS_LEVEL = 'PRAGMA synchronous';

/** Of the connection that is asked. */
export const LOCKING_MODE = 'PRAGMA locking_mode';

/** Changes exactly when another connection has committed; costs about a microsecond. */
export const DATA_VERSION = 'PRAGMA data_version';
