import { inspect } from 'node:util';
import { QueryFailedError } from 'typeorm';
import type { SqlErrorKind } from '../../lib/store/runtime/sql-error.js';
import { toSqlError } from '../../lib/store/runtime/sql-error.js';

const cases: readonly (readonly [SqlErrorKind, string, string])[] = [
  ['unavailable', 'ECONNREFUSED', 'connect ECONNREFUSED'],
  ['unavailable', 'EPIPE', 'write EPIPE'],
  ['unavailable', '08006', 'connection failure'],
  ['unavailable', '25006', 'cannot execute UPDATE in a read-only transaction'],
  ['unavailable', '25P04', 'terminating connection due to transaction timeout'],
  ['unavailable', '40003', 'statement completion unknown'],
  ['unavailable', '53100', 'could not extend file'],
  ['unavailable', '57P01', 'terminating connection due to administrator command'],
  ['unavailable', 'XX001', 'data corrupted'],
  ['closed', '', 'Cannot use a pool after calling end on the pool'],
  ['closed', '', 'The database connection is not open'],
  ['closed', 'SQLITE_MISUSE', 'SQLITE_MISUSE: Database is closed'],
  ['busy', '40P01', 'deadlock detected'],
  ['locked', '55P03', 'canceling statement due to lock timeout'],
  ['unique', '23505', 'duplicate key value'],
  ['refused', '22P05', 'unsupported Unicode escape sequence'],
  ['refused', '23514', 'violates check constraint'],
  ['refused', '42601', 'syntax error'],
  ['refused', '54000', 'total size of jsonb array elements exceeds the maximum'],
  ['refused', 'P0001', 'raised by a trigger'],
  ['refused', '45000', 'raised by a trigger, as in other databases'],
  ['refused', 'AB123', 'raised by a trigger, with a code of its own'],
  ['refused', '2F005', 'control reached end of trigger procedure without RETURN'],
  ['refused', '20000', 'case not found'],
  ['cancelled', '57014', 'canceling statement due to statement timeout'],
  ['denied', '25P02', 'current transaction is aborted'],
  ['denied', '26000', 'prepared statement "a" does not exist'],
  ['denied', '28P01', 'password authentication failed'],
  ['denied', '28000', 'role is not permitted to log in'],
  ['denied', '3D000', 'database does not exist'],
  ['denied', '42501', 'permission denied for table _jobs'],
  ['denied', '42P01', 'relation "_jobs" does not exist'],
  ['denied', '42703', 'column does not exist'],
  ['denied', '55006', 'database is being accessed by other users'],
  ['unavailable', 'SQLITE_IOERR_WRITE', 'disk I/O error'],
  ['unavailable', 'SQLITE_CORRUPT', 'database disk image is malformed'],
  ['busy', 'SQLITE_BUSY_SNAPSHOT', 'database is locked'],
  ['unique', 'SQLITE_CONSTRAINT', 'SQLITE_CONSTRAINT: UNIQUE constraint failed: _jobs.id'],
  ['refused', 'SQLITE_CONSTRAINT_CHECK', 'CHECK constraint failed: _jobs_json_check'],
  ['refused', 'SQLITE_ERROR', 'malformed JSON'],
  ['refused', 'SQLITE_TOOBIG', 'string or blob too big'],
  ['denied', 'SQLITE_ERROR', 'no such table: _jobs'],
  ['denied', 'SQLITE_ERROR', 'SQLITE_ERROR: no such column: payload'],
  ['denied', 'SQLITE_ERROR', 'no such index: sqlite_autoindex__jobs_1'],
];

describe('the kind of a database error', () => {
  it.each(cases)('%s: %s, %s', (kind, code, message) => {
    // Errors of the server have a severity; socket errors have none.
    const severity = /^[0-9A-Z]{5}$/.test(code) && code !== 'EPIPE' ? 'ERROR' : undefined;
    expect(toSqlError({ code, message, severity })).toMatchObject({ kind, message });
  });
});

describe('the cause of a SqlError', () => {
  it("is TypeORM's error, hidden from logs because it has the parameters of the statement", () => {
    const came = new QueryFailedError('INSERT', ['a payload'], Object.assign(new Error('no'), { code: '23514' }));
    const error = toSqlError(came);
    expect(error).toMatchObject({ driverCode: '23514', thrown: came });
    expect(inspect(error)).not.toContain('a payload');
  });
});
