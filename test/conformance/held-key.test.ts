import { JobsEngine } from 'nestjs-jobs';
import { RowLockedError } from '../../lib/core/errors.js';
import { altered } from '../support/altered-store.js';
import { newJob, TOPIC } from '../support/job-rows.js';
import { storeKinds, useStore } from '../support/stores.js';

describe.each(storeKinds().filter(({ locksRows }) => locksRows))('a unique key that is held on $label', (kind) => {
  const fixture = useStore(kind);

  it('is waited for once by all who ask for it, and others go on', async () => {
    let inserts = 0;
    const store = altered(fixture.store, {
      insert: (jobs) => {
        inserts += 1;
        return fixture.store.insert(jobs);
      },
    });
    const engine = new JobsEngine({ store });
    const transaction = await fixture.begin();
    await fixture.store.insert([newJob({ topic: TOPIC, uniqueKey: 'held' })], transaction.manager);
    const keys = [...Array.from({ length: 5 }, () => 'held'), 'free'];
    const asked = await Promise.allSettled(keys.map((uniqueKey) => engine.enqueue(TOPIC, null, { uniqueKey })));
    await transaction.rollback();
    expect(asked.map(({ status }) => status)).toEqual([...keys.slice(1).map(() => 'rejected'), 'fulfilled']);
    expect((asked[4] as PromiseRejectedResult).reason).toBeInstanceOf(RowLockedError);
    // All together, then one for each key.
    expect(inserts).toBe(3);
    await engine.close();
  });
});
