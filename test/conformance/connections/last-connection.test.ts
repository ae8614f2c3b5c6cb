import { claimMany } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';

/** Less than the lock timeout of the waiting statements. */
const SOON_MS = 500;

describe.each(storeKinds().filter(({ locksRows }) => locksRows))('the last connection of two on $label', (kind) => {
  const fixture = useStore(kind, { connections: 2 });

  it('is reserved for renewals while a request waits for a row and a report for its table', async () => {
    const [held, other] = await claimMany(fixture.store, 2);
    const transaction = await fixture.begin();
    await transaction.manager.query('SELECT 1 FROM _jobs WHERE id = $1 FOR UPDATE', [held!.id]);
    await transaction.manager.query('LOCK TABLE _jobs_rollup');
    const waiting = [fixture.store.cancel([held!.id]), fixture.store.reports.timeseries(['a topic'], 1)];
    const answers = Promise.allSettled(waiting);
    const sinceMs = performance.now();
    expect(await fixture.store.renew([other!], 30_000)).toMatchObject([{ state: 'held' }]);
    expect(performance.now() - sinceMs).toBeLessThan(SOON_MS);
    await transaction.rollback();
    await answers;
  });
});
