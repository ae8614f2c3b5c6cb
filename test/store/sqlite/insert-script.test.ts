import { InvalidOptionsError } from '../../../lib/core/errors.js';
import { insertScript } from '../../../lib/store/jobs/sqlite-insert-script.js';
import { newJobs } from '../../support/job-rows.js';

const MIB = 1024 * 1024;

describe('insertScript', () => {
  const payload = JSON.stringify('x'.repeat(MIB - 2));

  it('inserts a set with one statement, however large it is', () => {
    const script = insertScript(newJobs(20, { payload }));
    const { value } = script.next();
    expect(value).toMatchObject({ sql: expect.stringContaining('INSERT INTO _jobs') as string });
  });

  it('throws InvalidOptionsError for a set that exceeds the longest string', () => {
    const script = insertScript(newJobs(560, { payload }));
    expect(() => script.next()).toThrow(InvalidOptionsError);
  });
});
