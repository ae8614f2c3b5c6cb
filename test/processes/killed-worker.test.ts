/**
 * @matrix sqlite, typeorm-0.3
 * @slow
 */

import type { Job, JobLogLine } from 'nestjs-jobs';
import { until } from '../support/wait.js';
import { useBuiltPackage } from './support/built-package.js';
import { killPrograms, Program } from './support/program.js';
import type { QueueDatabase } from './support/queue-database.js';
import { newestDatabases } from './support/queue-database.js';

const LEASE_MS = 1_000;
const JOBS = 5;
const QUICK_JOBS = 100;
const OVERLAPPING_JOBS = 200;
/** Jobs of one batch, and how many of them are marked before the kill. */
const BATCH_JOBS = 20;
const MARKED_JOBS = 7;
const workerOptions = { lease: LEASE_MS, pollInterval: '200ms', concurrency: JOBS } as const;

useBuiltPackage();

describe.each(newestDatabases)('a killed worker on $name', ({ create }) => {
  let database: QueueDatabase;

  beforeEach(async () => {
    database = await create();
  });

  afterEach(async () => {
    await killPrograms();
    await database.close();
  });

  it('leaves its running jobs to another worker, which completes them soon after the lease', async () => {
    const settings = { database: database.address, options: workerOptions };
    const killed = await Program.start('worker', settings);
    const jobs = await Promise.all(
      Array.from({ length: JOBS }, () => database.enqueue('plain', { gated: 1, logs: true })),
    );
    await Promise.all(jobs.map(({ id }) => killed.report('began', (report) => report.id === id)));
    const readLogs = ({ id }: { id: string }): Promise<JobLogLine[]> => database.engine.jobs.logs(id);
    await until(async () => (await Promise.all(jobs.map(readLogs))).every(({ length }) => length === 1), {
      message: 'the log line of each job',
    });
    const successor = await Program.start('worker', settings);

    const returned = new Set(killed.all('returned').map(({ id }) => id));
    const interrupted = killed.all('began').filter(({ id }) => !returned.has(id)).length;
    const killedMs = performance.now();
    await killed.kill();
    const finished = await Promise.all(jobs.map(({ id }) => database.completed(id)));
    const tookMs = performance.now() - killedMs;

    expect(interrupted).toBe(JOBS);
    // A busy machine gives the successor no turn for a while.
    expect(tookMs).toBeLessThan(LEASE_MS + 8_000);
    for (const job of finished) {
      expect(job).toMatchObject({ retries: 1, attempt: 2, result: { worker: `${successor.pid}/1` } });
      expect(job.lastError).toMatch(/^lease of attempt 1 lost/);
      expect(job.errors).toHaveLength(1);
      expect(await database.effects(job.id)).toMatchObject([{ attempt: 2, worker: `${successor.pid}/1` }]);
      expect(await readLogs(job)).toMatchObject([
        { id: '1.1', data: { worker: `${killed.pid}/1` } },
        { id: '2.1', data: { worker: `${successor.pid}/1` } },
      ]);
    }
  });

  it('leaves the steps that its jobs have finished; a step that was not recorded runs again', async () => {
    const settings = { database: database.address, options: workerOptions };
    const killed = await Program.start('worker', settings);
    const [between, within] = await database.engine.enqueueMany(
      [{ after: 'second' }, { in: 'second' }].map((gate) => ({ topic: 'steps', payload: { gated: 1, gate } })),
    );
    await Promise.all([between!, within!].map(({ id }) => killed.report('began', (report) => report.id === id)));
    await killed.kill();
    await Program.start('worker', settings);

    const attemptsOf = async ({ id }: { id: string }): Promise<number[]> => {
      expect((await database.completed(id)).steps.map(({ name }) => name)).toEqual(['first', 'second', 'third']);
      return (await database.effects(id)).map(({ attempt }) => attempt);
    };
    expect(await attemptsOf(between!)).toEqual([1, 1, 2]);
    expect(await attemptsOf(within!)).toEqual([1, 1, 2, 2]);
  });

  it('leaves the open jobs of its batch: each runs again, alone, and the marked ones do not', async () => {
    const settings = { database: database.address, options: workerOptions };
    const killed = await Program.start('worker', settings);
    const tasks = Array.from({ length: BATCH_JOBS }, (_, index) => (index === MARKED_JOBS ? { gated: 1 } : {}));
    const jobs = await database.engine.enqueueMany(tasks.map((payload) => ({ topic: 'batch', payload })));
    const { id: gated } = await killed.report('began');
    const marked = jobs.slice(
      0,
      jobs.findIndex(({ id }) => id === gated),
    );
    await Promise.all(marked.map(({ id }) => database.completed(id)));
    const held = await database.findIds('processing');
    await killed.kill();
    const successor = await Program.start('worker', settings);

    expect(held).toHaveLength(BATCH_JOBS - MARKED_JOBS);
    for (const { id } of jobs) {
      const isHeld = held.includes(id);
      const { retries, attempt } = await database.completed(id);
      expect(retries).toBe(isHeld ? 1 : 0);
      // A successor that starts slowly may release a job and claim it again.
      expect(attempt).toBeGreaterThanOrEqual(isHeld ? 2 : 1);
      const worker = `${isHeld ? successor.pid : killed.pid}/1`;
      expect(await database.effects(id)).toMatchObject([{ worker }]);
    }
  });

  it('whose transactions overlap, of single jobs and of batches, loses no effect and repeats none', async () => {
    const settings = { database: database.address, options: { ...workerOptions, concurrency: 10 } };
    const jobs = await database.engine.enqueueMany(
      Array.from({ length: OVERLAPPING_JOBS }, (_, index) => ({
        topic: index % 2 ? 'complete_tx' : 'batch_tx',
        payload: {},
        // On a busy machine a transaction does not begin within the lease, and its attempt fails.
        maxRetries: 100,
        backoff: { type: 'fixed', delay: '100ms' } as const,
      })),
    );
    for (let kills = 1; kills <= 3; kills += 1) {
      const killed = await Program.start('worker', settings);
      const isUnderWay = async (): Promise<boolean> =>
        (await database.findIds('completed')).length >= (kills * OVERLAPPING_JOBS) / 5;
      await until(isUnderWay, { message: 'completed jobs' });
      await killed.kill();
    }
    await Program.start('worker', settings);
    for (const { id } of jobs) {
      const { attempt } = await database.completed(id);
      expect(await database.effects(id)).toMatchObject([{ attempt }]);
    }
  });

  /** Stores plain jobs. The first one kills its worker, which has claimed others ahead. Then starts a second worker. */
  async function killWhileOthersWait(options: { readonly maxRetries?: number }): Promise<{
    readonly jobs: readonly Job[];
    /** The ids of the jobs that the worker held. */
    readonly held: readonly string[];
    readonly successor: Program;
  }> {
    const settings = { database: database.address, options: { ...workerOptions, concurrency: 1 } };
    const killed = await Program.start('worker', settings);
    const quick = Array.from({ length: QUICK_JOBS }, () => ({ topic: 'quick', payload: null }));
    for (const { id } of await database.engine.enqueueMany(quick)) {
      await database.completed(id);
    }
    const runAt = new Date(Date.now() - 60_000);
    const first = { topic: 'plain', payload: { dies: 'at start' }, runAt, ...options };
    const others = Array.from({ length: QUICK_JOBS }, () => ({ topic: 'plain', payload: {}, ...options }));
    const jobs = await database.engine.enqueueMany([first, ...others]);
    await killed.exited;
    const held = await database.findIds('processing');
    expect(held.length).toBeGreaterThan(1);
    return { jobs, held, successor: await Program.start('worker', settings) };
  }

  it('leaves the jobs it had claimed ahead: each is charged a retry and runs once', async () => {
    const { jobs, held, successor } = await killWhileOthersWait({});
    for (const { id } of jobs) {
      const isHeld = held.includes(id);
      const { retries, attempt } = await database.completed(id);
      expect(retries).toBe(isHeld ? 1 : 0);
      // A successor that starts slowly may release a job and claim it again.
      expect(attempt).toBeGreaterThanOrEqual(isHeld ? 2 : 1);
      expect(await database.effects(id)).toMatchObject([{ worker: `${successor.pid}/1` }]);
    }
  });

  it('fails its running job without retries left; the waiting ones run elsewhere without a charged retry', async () => {
    const { jobs, held } = await killWhileOthersWait({ maxRetries: 0 });
    const [running, ...others] = jobs;
    for (const { id } of others) {
      expect(await database.completed(id)).toMatchObject({ retries: 0, errors: [] });
      expect(await database.effects(id)).toHaveLength(1);
    }
    await until(async () => (await database.findIds('failed')).length > 0, { message: 'the job that ran' });
    expect(await database.findIds('failed')).toEqual([running!.id]);
    expect(held).toContain(running!.id);
  });
});
