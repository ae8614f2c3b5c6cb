import { JobsEngine } from 'nestjs-jobs';
import type { ScanTiming } from '../../../lib/store/store-records.js';
import { insertOne } from '../../support/job-rows.js';
import type { StoreFixture } from '../../support/stores.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { until } from '../../support/wait.js';
import { watch } from '../../support/watched-store.js';

const TOPIC = 'mail';
const DEAD = 150_000;
const FILL_TIMEOUT_MS = 60_000;

/** Jobs that were due, one each tenth of a millisecond, until a minute ago, as running ones whose leases have ended then. */
function running(count: number): string {
  const moment = `statement_timestamp() - interval '1 minute' - ${count} * interval '100 microseconds' + n * interval '100 microseconds'`;
  return `
    INSERT INTO _jobs (id, topic, payload, status, run_at, locked_until)
    SELECT (lpad(to_hex(n), 12, '0') || '7000' || '8' || lpad('', 15, '0'))::uuid, '${TOPIC}', '{}', 'processing', ${moment}, ${moment}
    FROM generate_series(1, ${count}) AS n`;
}

/** The least that some looks took: what else the machine does is not of interest. */
async function leastOf(look: () => Promise<ScanTiming>): Promise<number> {
  const took: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    took.push((await look()).tookMs);
  }
  return Math.min(...took);
}

const scan = async (fixture: StoreFixture, lowerBound: string | null): Promise<number> =>
  leastOf(() => fixture.store.scan([], [{ topic: TOPIC, priority: 0, lowerBound }]));

const rescue = (fixture: StoreFixture, lowerBound: string | null): Promise<number> =>
  leastOf(() => fixture.store.rescue(10, lowerBound));

describe.each(storeKinds().filter(({ keepsOldRows }) => keepsOldRows))(
  'while another session holds a snapshot on $label',
  (kind) => {
    const fixture = useStore(kind);
    let end: () => Promise<void>;

    /** Every job has gone through `processing` and `pending` and has ended; the entries of both are still there. */
    beforeEach(async () => {
      await fixture.sql('ALTER TABLE _jobs SET (autovacuum_enabled = false)');
      const transaction = await fixture.begin((await fixture.openAnother()).app);
      await transaction.manager.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ');
      await transaction.manager.query('SELECT 1 FROM _jobs LIMIT 1');
      end = () => transaction.rollback();
      await fixture.sql(running(DEAD));
      await fixture.sql(`UPDATE _jobs SET status = 'pending', locked_until = NULL`);
      await fixture.sql(`UPDATE _jobs SET status = 'completed', finished = statement_timestamp()`);
    }, FILL_TIMEOUT_MS);

    it('full scans walk over dead entries, bounded scans do not, and full scans are fast again afterwards', async () => {
      const bound = new Date((await fixture.now()).getTime() - 30_000).toISOString();
      const full = { scan: await scan(fixture, null), rescue: await rescue(fixture, null) };
      expect(await scan(fixture, bound)).toBeLessThan(full.scan / 4);
      expect(await rescue(fixture, bound)).toBeLessThan(full.rescue / 4);
      await end();
      // PostgreSQL asks who holds snapshots when there are new transactions.
      await insertOne(fixture.store, { topic: 'other' });
      await until(async () => (await scan(fixture, null)) < full.scan / 4);
      await until(async () => (await rescue(fixture, null)) < full.rescue / 4);
    });

    it('a worker claims from bounds, finds every job, and stops to use bounds when the snapshot is gone', async () => {
      const watched = watch(fixture.store);
      const engine = new JobsEngine({ store: watched.store, pollInterval: 50 });
      const done = new Set<string>();
      engine.events.subscribe((event) => event.type === 'completed' && done.add(event.id));
      engine.register(TOPIC, () => null);
      await engine.start();
      try {
        const runOne = async (): Promise<string | null> => {
          const { id } = await engine.enqueue(TOPIC, null);
          await until(() => done.has(id));
          return watched.claimBounds.at(-1)![0]!;
        };
        await until(async () => (await runOne()) !== null, { message: 'a bounded claim' });
        await end();
        await until(async () => (await runOne()) === null, { message: 'a claim without a bound' });
      } finally {
        await engine.close();
      }
    });
  },
);

describe.each(storeKinds().filter(({ keepsOldRows }) => !keepsOldRows))('scans on $label', (kind) => {
  const fixture = useStore(kind);

  it('cost the same with any number of finished jobs', async () => {
    expect(await scan(fixture, null)).toBe(0);
    expect(await rescue(fixture, null)).toBe(0);
  });
});
