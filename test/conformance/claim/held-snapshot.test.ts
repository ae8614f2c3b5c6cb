/** @never typeorm-0.3 */

import { JobsEngine } from 'nestjs-jobs';
import type { ScanTiming } from '../../../lib/store/jobs/job-records.js';
import { insertOne } from '../../support/job-rows.js';
import type { StoreFixture } from '../../support/stores.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { until } from '../../support/wait.js';
import { watch } from '../../support/watched-store.js';

const TOPIC = 'mail';
const DEAD = 150_000;
const FILL_TIMEOUT_MS = 60_000;

/** SQL that inserts running jobs with due times 0.1 ms apart until a minute ago, when their leases expired. */
function insertRunning(count: number): string {
  const moment = `statement_timestamp() - interval '1 minute' - ${count} * interval '100 microseconds' + n * interval '100 microseconds'`;
  return `
    INSERT INTO _jobs (id, topic, payload, status, run_at, locked_until)
    SELECT (lpad(to_hex(n), 12, '0') || '7000' || '8' || lpad('', 15, '0'))::uuid, '${TOPIC}', '{}', 'processing', ${moment}, ${moment}
    FROM generate_series(1, ${count}) AS n`;
}

/** The shortest time of several scans, which excludes other load of the machine. */
async function measureShortest(scanOnce: () => Promise<ScanTiming>): Promise<number> {
  const took: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    took.push((await scanOnce()).tookMs);
  }
  return Math.min(...took);
}

const scan = async (fixture: StoreFixture, lowerBound: string | null): Promise<number> =>
  measureShortest(() => fixture.store.scan([], [{ topic: TOPIC, priority: 0, lowerBound }]));

const rescue = (fixture: StoreFixture, lowerBound: string | null): Promise<number> =>
  measureShortest(() => fixture.store.rescue(10, lowerBound));

describe.each(storeKinds().filter(({ keepsOldRows }) => keepsOldRows))(
  'while another session holds a snapshot on $label',
  (kind) => {
    const fixture = useStore(kind);
    let end: () => Promise<void>;

    /** Every job was pending, processing and has ended; the index entries of both states are still there. */
    beforeEach(async () => {
      await fixture.sql('ALTER TABLE _jobs SET (autovacuum_enabled = false)');
      const transaction = await fixture.begin((await fixture.openAnother()).app);
      await transaction.manager.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ');
      await transaction.manager.query('SELECT 1 FROM _jobs LIMIT 1');
      end = () => transaction.rollback();
      await fixture.sql(insertRunning(DEAD));
      await fixture.sql(`UPDATE _jobs SET status = 'pending', locked_until = NULL`);
      await fixture.sql(`UPDATE _jobs SET status = 'completed', finished = statement_timestamp()`);
    }, FILL_TIMEOUT_MS);

    it('full scans read dead entries, bounded scans do not, and full scans are fast again afterwards', async () => {
      const bound = new Date((await fixture.now()).getTime() - 30_000).toISOString();
      const full = { scan: await scan(fixture, null), rescue: await rescue(fixture, null) };
      expect(await scan(fixture, bound)).toBeLessThan(full.scan / 4);
      expect(await rescue(fixture, bound)).toBeLessThan(full.rescue / 4);
      await end();
      // PostgreSQL checks for held snapshots when new transactions start.
      await insertOne(fixture.store, { topic: 'other' });
      await until(async () => (await scan(fixture, null)) < full.scan / 4);
      await until(async () => (await rescue(fixture, null)) < full.rescue / 4);
    });

    it('a worker claims from bounds, finds every job, and stops using bounds when the snapshot is released', async () => {
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
