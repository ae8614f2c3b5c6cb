import Database from 'better-sqlite3';
import type { JobsTransaction, RunInTransaction } from 'nestjs-jobs';
import { InvalidOptionsError, LeaseLostError } from 'nestjs-jobs';
import { fromPg } from 'nestjs-jobs/orm';
import type { PoolClient } from 'pg';
import { Pool } from 'pg';
import type { OrmQueue } from '../orm/support/orm-queue.js';
import { openQueue } from '../orm/support/orm-queue.js';
import { createPostgresDatabase, createSqliteFile } from '../support/databases.js';
import { until } from '../support/wait.js';

const leftOvers: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of leftOvers.splice(0).reverse()) await close();
});

async function statuses(queue: OrmQueue): Promise<unknown[]> {
  return (await queue.sql('SELECT status, attempt FROM _jobs ORDER BY topic, id')).map(
    ({ status, attempt }) => `${String(status)} ${String(attempt)}`,
  );
}

const effects = async (queue: OrmQueue): Promise<number> => (await queue.sql('SELECT id FROM effects')).length;

describe('a transaction of an adapter on PostgreSQL', () => {
  let queue: OrmQueue;
  let pool: Pool;
  let transactions: RunInTransaction;

  beforeEach(async () => {
    const { url, drop } = await createPostgresDatabase('18');
    leftOvers.push(drop);
    pool = new Pool({ connectionString: url, max: 4 });
    leftOvers.push(() => pool.end());
    // The tests replace the function.
    const current: RunInTransaction = (work) => transactions(work);
    queue = await openQueue('postgres', url, { transactions: current, maxRetries: 1 });
    leftOvers.push(() => queue.close());
  });

  /** Runs work between BEGIN and COMMIT or ROLLBACK. Returns the server's reply to the last. */
  async function transact(work: (client: PoolClient) => Promise<unknown>, end = 'COMMIT'): Promise<string> {
    const client = await pool.connect();
    try {
      await client.query('BEGIN');
      await work(client);
      return (await client.query(end)).command;
    } finally {
      client.release();
    }
  }

  it('completes the jobs of a batch after one that rolled back, on the same connection and on another', async () => {
    const sizes: number[] = [];
    queue.engine.register(
      'work',
      async (jobs) => {
        sizes.push(jobs.length);
        const complete = (client: PoolClient): Promise<void> => jobs.completeTx(fromPg(client));
        await transact(complete, 'ROLLBACK');
        await transact(async (first) => {
          await complete(first);
          await first.query('ROLLBACK');
          await first.query('BEGIN');
          await first.query(`INSERT INTO effects (id) VALUES ('a')`);
          await jobs[0]!.completeTx(fromPg(first));
          await complete(first);
        });
      },
      { batch: { size: 3 } },
    );
    await queue.engine.enqueueMany([1, 2, 3].map((payload) => ({ topic: 'work', payload })));
    await queue.engine.start();
    await until(async () => (await statuses(queue)).every((status) => status === 'completed 1'));
    expect(sizes).toEqual([3]);
    expect(await effects(queue)).toBe(1);
  });

  it('rolls back after a refused completion, whose error the handler has swallowed', async () => {
    const ends: unknown[] = [];
    queue.engine.register('work', async (job) => {
      await queue.sql(`UPDATE _jobs SET attempt = attempt + 1`);
      const end = await transact(async (client) => {
        await client.query(`INSERT INTO effects (id) VALUES ('a')`);
        await job.completeTx(fromPg(client)).catch((error: unknown) => ends.push(error));
      });
      ends.push(end);
    });
    await queue.engine.enqueue('work', null);
    await queue.engine.start();
    await until(() => ends.length === 2);
    expect(ends).toEqual([expect.any(LeaseLostError), 'ROLLBACK']);
    expect(await effects(queue)).toBe(0);
  });

  const run = (work: (tx: JobsTransaction) => Promise<unknown>): Promise<string> =>
    transact((client) => work(fromPg(client)));
  const wrong: readonly (readonly [string, RunInTransaction, string])[] = [
    ['swallows the rejection of work', ((work) => run(work).catch(() => undefined)) as RunInTransaction, 'from work'],
    ['does not wait for work', (async (work) => void run(work).catch(() => undefined)) as RunInTransaction, ''],
    ['never calls work', (async () => undefined) as RunInTransaction, ''],
  ];

  it.each(wrong)('that %s completes no job', async (_, given, cause) => {
    transactions = given;
    let hasRun = false;
    queue.engine.register(
      'work',
      async () => {
        await queue.sql('SELECT pg_sleep(0.2)');
        hasRun = true;
        throw new Error('from work');
      },
      { transactional: true },
    );
    const { id } = await queue.engine.enqueue('work', null, { maxRetries: 0 });
    await queue.engine.start();
    await until(async () => (await statuses(queue))[0] === 'failed 1');
    const job = await queue.engine.jobs.get(id);
    expect(job?.lastError).toMatch(/^transactions: must return the promise of work and pass on its rejection/);
    expect(JSON.stringify(job)).toContain(cause);
    await until(() => hasRun || given === wrong[2]![1]);
  });

  it('completes a job whose function returns nothing, and waits', async () => {
    transactions = (async (work) => void (await run(work))) as RunInTransaction;
    queue.engine.register('work', () => 'done', { transactional: true });
    const { id } = await queue.engine.enqueue('work', null);
    await queue.engine.start();
    await until(async () => (await statuses(queue))[0] === 'completed 1');
    expect((await queue.engine.jobs.get(id))?.result).toBe('done');
  });
});

describe('a synchronous transaction on SQLite', () => {
  let queue: OrmQueue;
  let file: Database.Database;

  beforeEach(async () => {
    const { path, remove } = await createSqliteFile();
    leftOvers.push(remove);
    queue = await openQueue('sqlite', path);
    leftOvers.push(() => queue.close());
    file = new Database(path);
    leftOvers.push(async () => file.close());
  });

  /** As the adapter for Drizzle on better-sqlite3: statements are refused after the callback. */
  function adapt(): JobsTransaction {
    const querySync = (text: string, params: readonly unknown[]): Record<string, unknown>[] => {
      if (!file.inTransaction) throw new InvalidOptionsError('tx', 'has ended');
      const statement = file.prepare(text);
      return statement.reader
        ? (statement.all(...params) as Record<string, unknown>[])
        : (statement.run(...params), []);
    };
    const adapted = {
      ...{ orm: 'Drizzle', expected: 'a transaction', handle: {}, querySync },
      query: async (text: string, params: readonly unknown[]) => querySync(text, params),
    };
    return adapted;
  }

  it('completes all jobs of a batch within the callback', async () => {
    queue.engine.register('work', (jobs) => file.transaction(() => [jobs.completeTx(adapt())])()[0], {
      batch: { size: 3 },
    });
    await queue.engine.enqueueMany([1, 2, 3].map((payload) => ({ topic: 'work', payload })));
    await queue.engine.start();
    await until(async () => (await statuses(queue)).every((status) => status === 'completed 1'));
  });

  it('completes a job and releases its children', async () => {
    queue.engine.register('work', (job) => file.transaction(() => [job.completeTx(adapt())])()[0]);
    const [, child] = await queue.engine.enqueueMany([
      { ref: 'parent', topic: 'work', payload: 1 },
      { topic: 'later', payload: 2, dependsOn: ['parent'] },
    ]);
    await queue.engine.start();
    await until(async () => (await statuses(queue)).includes('completed 1'));
    expect(await queue.engine.jobs.get(child!.id)).toMatchObject({ status: 'pending' });
  });
});
