/**
 * @matrix all
 * @slow
 */

import * as adapters from 'nestjs-jobs/orm';
import { GuideCode } from '../support/guide-code.js';
import { until } from '../support/wait.js';
import type { OrmName } from './support/install-orm.js';
import { useOrm } from './support/use-orm.js';

/** A part of the code of each ORM on the page. */
const CODE: readonly (readonly [OrmName, string])[] = [
  ['prisma', "fromPrisma(tx), 'ship_order'"],
  ['drizzle', 'await tx.insert(orders)'],
  ['kysely', "fromKysely(trx), 'ship_order'"],
  ['knex', "fromKnex(trx), 'ship_order'"],
  ['mikro-orm', "fromMikroOrm(tx), 'ship_order'"],
  ['sequelize', "fromSequelize(transaction), 'ship_order'"],
  ['pg', "fromPg(client), 'ship_order'"],
  ['postgres-js', "fromPostgresJs(sql), 'ship_order'"],
];

const page = new GuideCode('guide/your-orm.md');
const ORDERS = "item text NOT NULL, status text NOT NULL DEFAULT 'new')";

describe.each(CODE)('the code in the guide for %s, on PostgreSQL 18,', (name, code) => {
  const world = useOrm(name, 'postgres');

  it('enqueues a job with an order, and completes a job with another', async () => {
    const { queue, orm } = world;
    await queue.sql(`CREATE TABLE orders (id serial PRIMARY KEY, ${ORDERS}`);
    await queue.sql("INSERT INTO orders (item) VALUES ('coffee')");
    queue.engine.register('run_guide', (job) =>
      page.run(code, { ...adapters, ...orm.guideNames, jobs: queue.engine, job, item: 'tea' }),
    );
    const { id } = await queue.engine.enqueue('run_guide', { orderId: 1 }, { maxRetries: 0 });
    await queue.engine.start();
    const ended = await until(async () => {
      const job = await queue.engine.jobs.get(id);
      return job?.status === 'completed' || job?.status === 'failed' ? job : undefined;
    });
    expect(ended).toMatchObject({ status: 'completed', attempt: 1, lastError: null });
    expect(await queue.sql('SELECT id, item, status FROM orders ORDER BY id')).toEqual([
      { id: 1, item: 'coffee', status: 'shipped' },
      { id: 2, item: 'tea', status: 'new' },
    ]);
    const waiting = await queue.sql("SELECT payload, status FROM _jobs WHERE topic = 'ship_order'");
    expect(waiting).toEqual([{ payload: { orderId: 2 }, status: 'pending' }]);
  });
});

describe('the code in the guide for drizzle, on a SQLite file,', () => {
  const world = useOrm('drizzle', 'sqlite');

  it('enqueues a job with an order', async () => {
    const { queue, orm } = world;
    await queue.sql(`CREATE TABLE orders (id integer PRIMARY KEY, ${ORDERS}`);
    await page.run('sqliteDb.transaction', { ...adapters, ...orm.guideNames, jobs: queue.engine, item: 'tea' });
    expect(await queue.sql('SELECT id, item, status FROM orders')).toEqual([{ id: 1, item: 'tea', status: 'new' }]);
    const waiting = await queue.sql("SELECT payload, status FROM _jobs WHERE topic = 'ship_order'");
    expect(waiting).toEqual([{ payload: '{"orderId":1}', status: 'pending' }]);
  });
});
