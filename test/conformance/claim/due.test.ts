import fc from 'fast-check';
import type { JobStore } from '../../../lib/store/job-store.js';
import { claim, newJob } from '../../support/job-rows.js';
import type { StoreFixture } from '../../support/stores.js';
import { storeKinds, useStore } from '../../support/stores.js';

const HOUR_MS = 3_600_000;
/** West of Greenwich, east of it by a fraction of an hour, and with daylight saving time. */
const ZONES = ['America/Los_Angeles', 'Asia/Kathmandu', 'Europe/Berlin', 'Pacific/Kiritimati'];
const JOBS_MAX = 60;

/** Milliseconds around now, and offsets of time zones. */
const offsets = fc.array(
  fc.oneof(
    fc.integer({ min: -15, max: 15 }),
    fc.integer({ min: -15, max: 15 }).map((hours) => hours * HOUR_MS),
  ),
  { maxLength: JOBS_MAX, size: 'max' },
);

/** Claims all due jobs; each comparison must have used a time between the start and the end of the claim. */
async function expectDueOnly(fixture: StoreFixture, store: JobStore, offsetsMs: readonly number[]): Promise<void> {
  await fixture.sql('DELETE FROM _jobs');
  const nowMs = (await fixture.now()).getTime();
  const jobs = offsetsMs.map((ms) => newJob({ runAt: new Date(nowMs + ms) }));
  await store.insert(jobs);
  const before = await fixture.now();
  const claimed = new Set((await claim(store)).map(({ id }) => id));
  const after = await fixture.now();

  const early = jobs.filter(({ id, runAt }) => claimed.has(id) && runAt! > after);
  const left = jobs.filter(({ id, runAt }) => !claimed.has(id) && runAt! <= before);
  expect({ early, left }).toEqual({ early: [], left: [] });
}

describe.each(storeKinds())('a delayed job on $label', (kind) => {
  const fixture = useStore(kind);

  it('is due at its runAt by the clock of the database, to the millisecond', async () => {
    const property = fc.asyncProperty(offsets, (some) => expectDueOnly(fixture, fixture.store, some));
    await fc.assert(property, { numRuns: 20, endOnFailure: true });
  });
});

describe.each(storeKinds().filter(({ locksRows }) => locksRows))(
  'a job in sessions of other time zones on $label',
  (kind) => {
    const fixture = useStore(kind);

    it.each(ZONES)('is due at the same moment in %s', async (zone) => {
      const [database] = await fixture.sql<{ name: string }>('SELECT current_database() AS name');
      await fixture.sql(`ALTER DATABASE ${database!.name} SET timezone TO '${zone}'`);
      const { store, app } = await fixture.openAnother();
      expect(await app.query('SHOW timezone')).toEqual([{ TimeZone: zone }]);
      const property = fc.asyncProperty(offsets, (some) => expectDueOnly(fixture, store, some));
      await fc.assert(property, { numRuns: 10, endOnFailure: true });
    });
  },
);
