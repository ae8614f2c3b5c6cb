import { InvalidOptionsError } from '../../../lib/core/errors.js';
import { insertScript } from '../../../lib/store/sqlite/scripts.js';
import { newJobs } from '../../support/job-rows.js';

const MIB = 1024 * 1024;

describe('the insert of a set on SQLite', () => {
  const payload = JSON.stringify('x'.repeat(MIB - 2));

  it('is one statement, however large the set', () => {
    const script = insertScript(newJobs(20, { payload }));
    const { value } = script.next();
    expect(value).toMatchObject({ sql: expect.stringContaining('INSERT INTO _jobs') as string });
  });

  it('is refused with a reason for more than one text can hold', () => {
    const script = insertScript(newJobs(560, { payload }));
    expect(() => script.next()).toThrow(InvalidOptionsError);
    expect(() => insertScript(newJobs(560, { payload })).next()).toThrow(
      'jobs: 560 jobs are more text than one statement',
    );
  });
});
