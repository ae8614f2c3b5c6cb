import { QueueUnavailableError } from 'nestjs-jobs';
import { JobsTables } from '../../lib/store/jobs-tables.js';
import type { JobsTablesOptions } from '../../lib/store/jobs-tables.js';
import { toSqlError } from '../../lib/store/sql-error.js';
import * as statements from '../../lib/store/sqlite/sql/schema.js';
import { RecordingLogger } from '../support/unit/recording-logger.js';
import { VirtualClock } from '../support/unit/virtual-clock.js';

const ALL = ['_jobs', '_jobs_rollup', '_jobs_workers', '_jobs_paused', '_jobs_migrations'];

describe("the queue's tables", () => {
  let clock: VirtualClock;
  let logger: RecordingLogger;
  /** Those that are there. */
  let there: readonly string[];
  let mayCreate: boolean;
  let made: number;

  beforeEach(() => {
    clock = new VirtualClock();
    logger = new RecordingLogger();
    there = [];
    mayCreate = true;
    made = 0;
  });

  const open = (options: Partial<JobsTablesOptions> = {}): JobsTables =>
    new JobsTables({
      databaseType: 'better-sqlite3',
      statements,
      migrate: true,
      read: async (statement) => (statement === statements.LIST_TABLES ? there.map((name) => ({ name })) : []),
      run: () => Promise.reject(new Error('not while the application is at work')),
      runBeside: async () => {
        made += 1;
        if (!mayCreate) throw new Error('permission denied');
        there = ALL;
      },
      clock,
      logger,
      ...options,
    });

  const gone = (message = 'no such table: _jobs'): QueueUnavailableError =>
    new QueueUnavailableError('away', {
      cause: toSqlError(Object.assign(new Error(message), { code: 'SQLITE_ERROR' })),
    });

  /** What fails for want of a table, and works once they are there. */
  const use = (error: Error = gone()): (() => Promise<string>) =>
    jest.fn(async () => {
      if (there.length < ALL.length) throw error;
      return 'done';
    });

  it('are made once for all who meet that they are gone', async () => {
    const tables = open();
    expect(await Promise.all([tables.usedBy(use()), tables.usedBy(use())])).toEqual(['done', 'done']);
    expect(made).toBe(1);
    expect(logger.of('warn')).toHaveLength(1);
  });

  it('are there again when another process was quicker', async () => {
    const tables = open();
    there = ALL;
    expect(await tables.madeAfter(gone())).toBe(true);
    expect(made).toBe(0);
    expect(logger.lines).toEqual([]);
  });

  it.each(ALL)('are left alone while %s is there: somebody is at work', async (name) => {
    const tables = open();
    there = [name];
    await expect(tables.usedBy(use())).rejects.toThrow('away');
    expect(made).toBe(0);
  });

  it('are tried again after a rest when they cannot be made, and the reason is told once', async () => {
    const tables = open();
    mayCreate = false;
    for (let tries = 0; tries < 3; tries += 1) {
      await expect(tables.usedBy(use())).rejects.toThrow('away');
    }
    expect(made).toBe(1);
    await clock.advance(5_000);
    await expect(tables.usedBy(use())).rejects.toThrow('away');
    expect(made).toBe(2);
    expect(logger.of('error')).toEqual(["the queue's tables are gone, and cannot be made anew: permission denied"]);
    mayCreate = true;
    await clock.advance(5_000);
    expect(await tables.usedBy(use())).toBe('done');
  });

  it.each([
    ["a table of the application's", gone('no such table: main.archived_jobs')],
    ['a column', gone('no such column: _jobs.of_tomorrow')],
    ['an outage', new QueueUnavailableError('away')],
  ])('are not looked for when %s is missing', async (_, error) => {
    expect(await open().madeAfter(error)).toBe(false);
    expect(made).toBe(0);
  });

  it('are left to whoever migrates', async () => {
    expect(await open({ migrate: false }).madeAfter(gone())).toBe(false);
    expect(made).toBe(0);
  });
});
