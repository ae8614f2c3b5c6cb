import type { DataSource, QueryRunner } from 'typeorm';
import { createJobStore, JobsEngine } from '../../lib/jobs-engine.js';

const TOPIC = 'nothing';
const ENQUEUED_AT_ONCE = 1_000;

/**
 * Drains a backlog of jobs that do nothing, beside a session that looked at the table before.
 *
 * @returns jobs a second, piece by piece.
 * @throws when the table does not say that each job ran once.
 */
export async function drainBeside(open: () => DataSource, jobs: number, pieces: number): Promise<number[]> {
  const [app, other] = [await open().initialize(), await open().initialize()];
  const { store } = createJobStore(app);
  await store.open();
  const engine = new JobsEngine({ store });
  try {
    for (let stored = 0; stored < jobs; stored += ENQUEUED_AT_ONCE) {
      await engine.enqueueMany(Array.from({ length: ENQUEUED_AT_ONCE }, () => ({ topic: TOPIC, payload: null })));
    }
    const holder = await hold(other);
    const rates = await drain(engine, jobs, jobs / pieces);
    await holder.rollbackTransaction();
    await holder.release();
    await check(app, jobs);
    return rates;
  } finally {
    await engine.close();
    await store.close();
    await Promise.all([app.destroy(), other.destroy()]);
  }
}

/** Opens a transaction that keeps seeing the table as it is now. */
async function hold(other: DataSource): Promise<QueryRunner> {
  const holder = other.createQueryRunner();
  await holder.startTransaction(other.options.type === 'postgres' ? 'REPEATABLE READ' : undefined);
  await holder.query('SELECT count(*) FROM _jobs');
  return holder;
}

async function drain(engine: JobsEngine, jobs: number, piece: number): Promise<number[]> {
  let completed = 0;
  let sinceMs = performance.now();
  const rates: number[] = [];
  const done = new Promise<void>((resolve) => {
    engine.events.subscribe(({ type }) => {
      completed += type === 'completed' ? 1 : 0;
      if (type === 'completed' && completed % piece === 0) {
        rates.push((piece * 1_000) / (performance.now() - sinceMs));
        sinceMs = performance.now();
      }
      if (completed === jobs) {
        resolve();
      }
    });
  });
  engine.register(TOPIC, () => null);
  await engine.start();
  await done;
  return rates;
}

async function check(app: DataSource, jobs: number): Promise<void> {
  const rows = await app.query<{ count: string | number }[]>(
    `SELECT count(*) AS count FROM _jobs WHERE status = 'completed' AND attempt = 1 AND retries = 0`,
  );
  if (Number(rows[0]!.count) !== jobs) {
    throw new Error(`expected ${jobs} jobs completed by their first attempt, got ${rows[0]!.count}`);
  }
}
