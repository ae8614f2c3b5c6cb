import { moveTime as movePostgres } from '../../lib/store/runtime/moved-time.postgres.js';
import { moveTime as moveSqlite } from '../../lib/store/runtime/moved-time.sqlite.js';
import { listStatements } from '../../scripts/statements.js';

/** Reads the clock in another way than the one that tests can move. */
const OTHER_CLOCKS =
  /\bnow\(\)|\bcurrent_(time|date|timestamp)\b|\blocaltime|\btransaction_timestamp|\btimeofday|'today'/i;

const INSERT_JOB = /INSERT INTO _jobs(_schedules)?( AS j)? \(/;
const SETS_TIMES = /INSERT INTO _jobs(_schedules)?( AS j)? \([^)]*\bcreated, updated\b/;

describe.each([
  ['postgres', movePostgres, /statement_timestamp\(\)/],
  ['sqlite', moveSqlite, /'now'/],
] as const)('the moved time of %s', (database, moveTime, clock) => {
  const statements = listStatements()
    .filter((each) => each.database === database)
    .map(({ name, text }): [string, string] => [name, text]);

  it('covers each statement that reads the clock', () => {
    expect(statements.length).toBeGreaterThan(50);
    expect(statements.filter(([, sql]) => OTHER_CLOCKS.test(sql))).toEqual([]);
    const reading = statements.filter(([, sql]) => clock.test(sql));
    expect(reading.length).toBeGreaterThan(20);
    expect(reading.filter(([, sql]) => moveTime(sql, 1_000) === sql)).toEqual([]);
  });

  it('leaves statements as they are until the clock is moved', () => {
    expect(statements.filter(([, sql]) => moveTime(sql, 0) !== sql)).toEqual([]);
  });

  it('sets both times of each new job, which have defaults that no test moves', () => {
    const inserts = statements.filter(([, sql]) => INSERT_JOB.test(sql));
    expect(inserts.length).toBeGreaterThan(1);
    expect(inserts.filter(([, sql]) => !SETS_TIMES.test(sql))).toEqual([]);
  });
});
