/** @never typeorm-0.3 */

import { JobsEngine } from 'nestjs-jobs';
import type { JobStore } from '../../../lib/store/job-store.js';
import type { EmptyDatabase, OpenStore } from '../../support/stores.js';
import { openStore, storeKinds } from '../../support/stores.js';
import { until } from '../../support/wait.js';

const EVERY_SECOND = '* * * * * *';

/** The server calls this function instead of its own, and adds the interval in the table. */
const SHIFTED_CLOCK = [
  'CREATE SCHEMA shifted',
  'CREATE TABLE shifted.clock (shift interval NOT NULL)',
  `INSERT INTO shifted.clock VALUES ('0')`,
  `CREATE FUNCTION shifted.statement_timestamp() RETURNS timestamptz LANGUAGE sql STABLE
    AS 'SELECT pg_catalog.statement_timestamp() + (SELECT shift FROM shifted.clock)'`,
  `DO $$ BEGIN
    EXECUTE format('ALTER DATABASE %I SET search_path = public, shifted, pg_catalog', current_database());
  END $$`,
];

describe.each([storeKinds()[0]!])('schedules when the clock of the database is set, on $label', (kind) => {
  let database: EmptyDatabase;
  let open: OpenStore;
  let engine: JobsEngine;
  let store: JobStore;

  beforeEach(async () => {
    database = await kind.createDatabase();
    const app = await database.app().initialize();
    for (const statement of SHIFTED_CLOCK) {
      await app.query(statement);
    }
    await app.destroy();
    open = await openStore(database);
    ({ store } = open);
    engine = new JobsEngine({ store });
  });

  afterEach(async () => {
    await engine.close();
    await open.close();
    await database.remove();
  });

  const setClock = (shift: string): Promise<unknown> => open.app.query(`UPDATE shifted.clock SET shift = '${shift}'`);
  const count = async (topic: string): Promise<number> =>
    (await open.app.query<object[]>(`SELECT FROM _jobs WHERE topic = '${topic}'`)).length;
  /** The process writes that it lives when its topics change, and learns the time. */
  const syncClock = (): void => engine.register(`topic-${Math.random()}`, () => null);

  it('fire the skipped ticks by the policy for missed ones when it is set forward', async () => {
    for (const missed of ['skip', 'last', 'all'] as const) {
      await engine.schedules.upsert(missed, { every: '10m' }, { topic: missed, missed });
    }
    await engine.start();
    await setClock('1 hour');
    syncClock();
    const { now } = await store.schedules.list();
    await until(async () => (await engine.schedules.list()).every(({ nextTick }) => nextTick! > now), {
      message: 'all fired',
    });
    // A tick of the last minute is not missed.
    const recent = await count('skip');
    expect(recent).toBeLessThanOrEqual(1);
    expect(await count('last')).toBe(1 + recent);
    expect(await count('all')).toBe(6);
  });

  it('wait when it is set back, and fire no tick twice', async () => {
    await engine.schedules.upsert('s', EVERY_SECOND, { topic: 't', missed: 'all' });
    await engine.start();
    await until(async () => (await count('t')) >= 2, { message: 'two jobs' });
    const fire = jest.spyOn(store.schedules, 'fire');
    const list = jest.spyOn(store.schedules, 'list');
    await setClock('-1 hour');
    const before = await count('t');
    await until(() => fire.mock.calls.length > 0, { message: 'a tick that is too early' });
    await until(() => list.mock.calls.length > 0, { message: 'a read' });
    syncClock();
    expect(await count('t')).toBeLessThanOrEqual(before + 1);
    expect(fire.mock.calls.length + list.mock.calls.length).toBeLessThan(10);
    await setClock('0');
    syncClock();
    await until(async () => (await count('t')) >= before + 3, { message: 'more jobs' });
    const seconds = (await open.app.query<{ id: string }[]>('SELECT id FROM _jobs ORDER BY id')).map(({ id }) =>
      parseInt(id.replace('-', '').slice(0, 12), 16),
    );
    seconds.slice(1).forEach((second, index) => expect(second - seconds[index]!).toBe(1_000));
  });
});
