import { toSqlError } from '../../../lib/store/runtime/sql-error.js';
import { toJobsError } from '../../../lib/store/sqlite/sqlite-errors.js';

describe('a failed write to a SQLite file', () => {
  it.each([
    { code: 'SQLITE_IOERR_FSYNC', isUncertain: true },
    { code: 'SQLITE_IOERR', isUncertain: true },
    { code: 'SQLITE_IOERR_WRITE', isUncertain: false },
    { code: 'SQLITE_FULL', isUncertain: false },
    { code: 'SQLITE_BUSY', isUncertain: false },
  ])('is uncertain after $code: $isUncertain', ({ code, isUncertain }) => {
    const error = toJobsError(toSqlError({ code, message: 'for the test' }));
    expect(error).toMatchObject({ code: 'QUEUE_UNAVAILABLE', isUncertain });
  });
});
