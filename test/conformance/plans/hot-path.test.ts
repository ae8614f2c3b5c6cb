/** @matrix typeorm-0.3 */

import { createHook } from 'node:async_hooks';
import { filter, firstValueFrom } from 'rxjs';
import type { DataSource } from 'typeorm';
import type { Job, JobsOptions, JobStore } from 'nestjs-jobs';
import { JobsEngine } from '../../../lib/engine/jobs-engine.js';
import { createJobStore } from '../../../lib/typeorm/create-job-store.js';
import { BetterSqliteRunner } from '../../../lib/store/sqlite/better-sqlite-runner.js';
import { COMPLETED_BRIEF, SETTLE } from '../../../lib/store/jobs/settle.sqlite.js';
import { Sqlite3Runner } from '../../../lib/store/sqlite/sqlite3-runner.js';
import type { EmptyDatabase, StoreKind } from '../../support/stores.js';
import { storeKinds } from '../../support/stores.js';
import { until } from '../../support/wait.js';

/*
 * The cost of the hot path in counts that are the same on every machine: statements, written rows, promises. How
 * many calls share a statement depends on the speed of Node and the database, so the limits are generous. A path
 * with one statement for each job exceeds them by a factor of ten.
 */

const JOBS = 1_000;
const ENQUEUE_AT_ONCE_MAX = 10;
const ENQUEUE_OF_CALLERS_MAX = 100;
const DRAIN_MAX = 150;
const PROMISES_MAX = 4;
/** Jobs that are enqueued one by one. */
const FEW = 20;

/** Schedules whose ticks are due at the same moment. */
const SCHEDULES = 1_000;
/** Columns that only the statements of schedules name. */
const SCHEDULE_COLUMNS = ['next_tick', 'declared'];

/** The common method of `pg.Client` and the runners of SQLite. */
interface Sender {
  query(...args: unknown[]): unknown;
}

/** An engine on its own database that counts statements. */
class CountedQueue {
  private constructor(
    readonly engine: JobsEngine,
    private readonly app: DataSource,
    private readonly own: DataSource,
    private readonly store: JobStore,
    private readonly database: EmptyDatabase,
  ) {}

  static async open(kind: StoreKind, options: JobsOptions): Promise<CountedQueue> {
    const database = await kind.createDatabase();
    const app = await database.app().initialize();
    const { store, dataSource } = createJobStore(app, options);
    await store.open();
    return new CountedQueue(new JobsEngine({ store, ...options }), app, dataSource, store, database);
  }

  /** Counts the statements that `work` sends, or only those that contain one of these texts. */
  async statementsOf(work: () => Promise<unknown>, ...parts: string[]): Promise<number> {
    const sender = this.sender;
    const spy = jest.spyOn(sender, 'query');
    const readText = ([first]: unknown[]): string =>
      typeof first === 'string' ? first : (first as { text: string }).text;
    try {
      await work();
      const texts = spy.mock.calls.map(readText);
      return texts.filter((text) => parts.length === 0 || parts.some((part) => text.includes(part))).length;
    } finally {
      spy.mockRestore();
    }
  }

  /** Adds schedules whose first tick is due now. */
  async addDueSchedules(count: number): Promise<void> {
    const producer = new JobsEngine({ store: this.store, role: 'producer' });
    await producer.schedules.upsert('s', { every: '1h' }, { topic: 'work', missed: 'all' });
    const isPostgres = this.app.options.type === 'postgres';
    const numbers = isPostgres
      ? `generate_series(1, ${count - 1}) AS numbers(n)`
      : `(WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${count - 1}) SELECT n FROM numbers)`;
    await this.app.query(
      `INSERT INTO _jobs_schedules (name, definition, source) SELECT 's' || n, s.definition, 'api' FROM _jobs_schedules s, ${numbers}`,
    );
    const hour = isPostgres ? `date_trunc('hour', now())` : `strftime('%Y-%m-%d %H:00:00.000', 'now')`;
    await this.app.query(`UPDATE _jobs_schedules SET next_tick = ${hour}`);
  }

  async countJobs(): Promise<number> {
    const [row] = await this.app.query<{ count: string | number }[]>('SELECT count(*) AS count FROM _jobs');
    return Number(row!.count);
  }

  async enqueueAll(): Promise<void> {
    await this.engine.enqueueMany(Array.from({ length: JOBS }, (_, payload) => ({ topic: 'work', payload })));
  }

  /** Runs all due jobs. */
  async drain(): Promise<void> {
    this.engine.register('work', () => null);
    await this.engine.start();
    await this.engine.whenIdle();
  }

  /** Stops the engine, which writes its last records, and returns the number of written rows. */
  async rowsWritten(least: number): Promise<number> {
    await this.engine.close();
    if (this.app.options.type !== 'postgres') {
      const [row] = await this.own.query<{ changes: number }[]>('SELECT total_changes() AS changes');
      return row!.changes;
    }
    // A session reports its written rows when it ends.
    await this.store.close();
    let written = 0;
    await until(
      async () => {
        const [row] = await this.app.query<{ written: number }[]>(
          'SELECT sum(n_tup_ins + n_tup_upd + n_tup_del)::int AS written FROM pg_stat_user_tables',
        );
        return (written = row!.written) >= least;
      },
      { message: `${least} rows written` },
    );
    return written;
  }

  async close(): Promise<void> {
    await this.engine.close();
    await this.store.close();
    await this.app.destroy();
    await this.database.remove();
  }

  private get sender(): Sender {
    const { postgres } = this.app.driver as unknown as { postgres?: { Client: { prototype: Sender } } };
    const runner = this.app.options.type === 'better-sqlite3' ? BetterSqliteRunner : Sqlite3Runner;
    return (postgres?.Client ?? runner).prototype;
  }
}

describe.each(storeKinds())('the hot path on $label', (kind) => {
  let queue: CountedQueue;

  const open = async (options: JobsOptions = {}): Promise<CountedQueue> =>
    (queue = await CountedQueue.open(kind, options));

  afterEach(() => queue.close());

  it('inserts a thousand jobs that are enqueued at once in a few statements', async () => {
    const { engine } = await open();
    const all = Array.from({ length: JOBS }, (_, n) => n);
    const sent = await queue.statementsOf(() => Promise.all(all.map((n) => engine.enqueue('work', n))));
    expect(sent).toBeLessThanOrEqual(ENQUEUE_AT_ONCE_MAX);
  });

  it('merges the inserts of 64 callers', async () => {
    const { engine } = await open();
    const call = async (): Promise<void> => {
      for (let n = 0; n < JOBS / 64; n += 1) await engine.enqueue('work', n);
    };
    const sent = await queue.statementsOf(() => Promise.all(Array.from({ length: 64 }, call)));
    expect(sent).toBeLessThanOrEqual(ENQUEUE_OF_CALLERS_MAX);
  });

  it.each([
    { title: 'default options', options: {} },
    { title: 'a hundred slots', options: { concurrency: 100 } },
  ])('claims and completes a thousand jobs in a few statements, with $title', async ({ options }) => {
    await open(options);
    await queue.enqueueAll();
    expect(await queue.statementsOf(() => queue.drain())).toBeLessThanOrEqual(DRAIN_MAX);
  });

  it('stores the progress of a thousand jobs with their outcomes', async () => {
    const { engine } = await open({ concurrency: 100 });
    await queue.enqueueAll();
    engine.register('work', (job) => job.progress(job.payload));
    const drain = async (): Promise<void> => {
      await engine.start();
      await engine.whenIdle();
    };
    expect(await queue.statementsOf(drain)).toBeLessThanOrEqual(DRAIN_MAX);
    const { items } = await engine.jobs.list({ limit: 200 });
    expect(items.map(({ progress }) => progress)).toEqual(items.map(({ payload }) => payload));
  });

  it('stores a log line of a thousand jobs in a few statements, and sends none for jobs without lines', async () => {
    const { engine } = await open({ concurrency: 100 });
    await queue.enqueueAll();
    engine.register('other', (job) => job.log('done', job.payload));
    expect(await queue.statementsOf(() => queue.drain(), 'INTO _jobs_logs', 'FROM _jobs_logs l')).toBe(0);
    const jobs = Array.from({ length: JOBS }, (_, payload) => ({ topic: 'other', payload }));
    const [{ id }] = (await engine.enqueueMany(jobs)) as [Job];
    expect(await queue.statementsOf(() => engine.whenIdle())).toBeLessThanOrEqual(DRAIN_MAX);
    expect(await engine.jobs.logs(id)).toMatchObject([{ message: 'done', data: 0 }]);
  });

  it('completes each batch in one statement', async () => {
    await open({ concurrency: 100 });
    await queue.enqueueAll();
    const second = kind.locksRows ? 'ROLLBACK' : SETTLE;
    // A process without a turn may reach a lock timeout, or measure a long job.
    expect(await queue.statementsOf(() => queue.drain(), second, COMPLETED_BRIEF)).toBeLessThanOrEqual(2);
  });

  it('claims and completes jobs without a transaction around each statement', async () => {
    await open({ concurrency: 100 });
    await queue.enqueueAll();
    // Recording statistics is one transaction a second.
    expect(await queue.statementsOf(() => queue.drain(), 'BEGIN IMMEDIATE')).toBeLessThan(JOBS / 100);
  });

  it('scans for lanes once for a single job, and not again when it ends', async () => {
    const { engine } = await open({ pollInterval: '1m' });
    engine.register('work', () => null);
    await engine.start();
    await engine.whenIdle();
    const trickle = async (): Promise<void> => {
      for (let n = 0; n < FEW; n += 1) {
        const ended = firstValueFrom(engine.events.pipe(filter(({ type }) => type === 'completed')));
        await engine.enqueue('work', n);
        await ended;
      }
    };
    const looks = await queue.statementsOf(trickle, 'WITH RECURSIVE');
    // On a busy machine one scan may find the next job too.
    expect(looks).toBeGreaterThan(0);
    expect(looks).toBeLessThanOrEqual(1.5 * FEW);
  });

  it('sends no statement for schedules while there are none', async () => {
    const { engine } = await open();
    await queue.enqueueAll();
    const work = async (): Promise<void> => {
      await queue.drain();
      // Writes again that this process lives, which tells it of schedules.
      engine.register('other', () => null);
      await engine.enqueue('other', null);
      await engine.whenIdle();
    };
    expect(await queue.statementsOf(work, ...SCHEDULE_COLUMNS)).toBe(0);
  });

  it('fires a thousand schedules that are due at once in two statements', async () => {
    const { engine } = await open();
    await queue.addDueSchedules(SCHEDULES);
    const fire = async (): Promise<void> => {
      await engine.start();
      await until(async () => (await engine.jobs.list({ limit: 1 })).items.length === 1, { message: 'the jobs' });
    };
    expect(await queue.statementsOf(fire, ...SCHEDULE_COLUMNS)).toBe(2);
    expect(await queue.countJobs()).toBe(SCHEDULES);
  });

  it.each([
    { title: 'completed', options: {} },
    { title: 'deleted', options: { retention: 0 } },
  ])('writes the row of a job three times: when it is inserted, claimed and $title', async ({ options }) => {
    const each = 3;
    const run = async (): Promise<number> => {
      await open(options);
      await queue.enqueueAll();
      await queue.drain();
      return queue.rowsWritten(each * JOBS);
    };
    // Other rows: migrations, minutes of the rollup, the topics of this process.
    const most = each * JOBS + JOBS / 10;
    let written = await run();
    // On a busy machine a completion may reach its lock timeout after it has written rows.
    for (let again = 0; written >= most && again < 2; again += 1) {
      await queue.close();
      written = await run();
    }
    expect(written).toBeGreaterThanOrEqual(each * JOBS);
    expect(written).toBeLessThan(most);
  });

  it(`creates at most ${PROMISES_MAX} promises for each job`, async () => {
    await open({ concurrency: 100 });
    await queue.enqueueAll();
    let promises = 0;
    const hook = createHook({ init: (_id, type) => (promises += type === 'PROMISE' ? 1 : 0) }).enable();
    await queue.drain();
    hook.disable();
    expect(promises / JOBS).toBeLessThanOrEqual(PROMISES_MAX);
  });
});
