import { toSqlError } from '../../../lib/store/sql-error.js';
import { translated } from '../../../lib/store/sqlite/error-translation.js';

describe('a write to a SQLite file that has failed', () => {
  it.each([
    { code: 'SQLITE_IOERR_FSYNC', isUncertain: true },
    { code: 'SQLITE_IOERR', isUncertain: true },
    { code: 'SQLITE_IOERR_WRITE', isUncertain: false },
    { code: 'SQLITE_FULL', isUncertain: false },
    { code: 'SQLITE_BUSY', isUncertain: false },
  ])('with $code: whether it may be stored all the same is $isUncertain', async ({ code, isUncertain }) => {
    const error = toSqlError({ code, message: 'for the test' });
    await expect(translated(Promise.reject(error))).rejects.toMatchObject({ code: 'QUEUE_UNAVAILABLE', isUncertain });
  });
});
