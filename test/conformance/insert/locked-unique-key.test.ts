/** @never typeorm-0.3 */

import { JobsEngine } from 'nestjs-jobs';
import type { JobInsert } from '../../../lib/store/jobs/job-records.js';
import { RowLockedError } from '../../../lib/core/errors.js';
import { overrideStore } from '../../support/override-store.js';
import { newJob, TOPIC } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';

describe.each(storeKinds().filter(({ locksRows }) => locksRows))(
  'a unique key that an open transaction locks, on $label',
  (kind) => {
    const fixture = useStore(kind);

    it('delays only enqueues with that key, and only once', async () => {
      let inserts = 0;
      const store = overrideStore(fixture.store, {
        insert: (jobs) => {
          inserts += 1;
          return fixture.store.insert(jobs);
        },
      });
      const engine = new JobsEngine({ store });
      const transaction = await fixture.begin();
      await fixture.store.insert([newJob({ topic: TOPIC, uniqueKey: 'held' })], transaction.manager);
      const keys = [...Array.from({ length: 5 }, () => 'held'), 'free'];
      const results = await Promise.allSettled(keys.map((uniqueKey) => engine.enqueue(TOPIC, null, { uniqueKey })));
      await transaction.rollback();
      expect(results.map(({ status }) => status)).toEqual([...keys.slice(1).map(() => 'rejected'), 'fulfilled']);
      const { reason } = results[4] as { reason: Error };
      expect(reason).toBeInstanceOf(RowLockedError);
      // Applications see the exported class.
      expect(reason).toMatchObject({ name: 'QueueUnavailableError', code: 'QUEUE_UNAVAILABLE' });
      // One batch, then one insert for each key.
      expect(inserts).toBe(3);
      await engine.close();
    });

    it('is retried after all other jobs, so that no deadlock occurs', async () => {
      const keys = (...names: string[]): JobInsert[] => names.map((uniqueKey) => newJob({ topic: TOPIC, uniqueKey }));
      const [holder] = await fixture.store.insert(keys('a'));
      // The next insert waits before it ends.
      await fixture.sql('CREATE SEQUENCE inserts');
      await fixture.sql(`
      CREATE FUNCTION wait_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF nextval('inserts') = 1 THEN PERFORM pg_advisory_xact_lock(1); END IF;
        RETURN NULL;
      END $$`);
      await fixture.sql(
        'CREATE TRIGGER wait_once AFTER INSERT ON _jobs FOR EACH STATEMENT EXECUTE FUNCTION wait_once()',
      );
      try {
        const gate = await fixture.begin((await fixture.openAnother()).app);
        const { app, store } = await fixture.openAnother();
        await gate.manager.query('SELECT pg_advisory_xact_lock(1)');

        const storing = fixture.store.insert(keys('a', 'b', 'c'));
        await fixture.untilLockWait();
        // The key moves from an ended job to an uncommitted one, whose transaction then needs another key of the batch.
        await store.cancel([holder!.id]);
        const second = await fixture.begin(app);
        const [a] = await store.insert(keys('a'), second.manager);
        const [b] = await Promise.all([store.insert(keys('b'), second.manager), gate.commit()]);
        await second.commit();

        expect(await storing).toMatchObject([
          { id: a!.id, deduplicated: true },
          { id: b[0]!.id },
          { deduplicated: false },
        ]);
      } finally {
        await fixture.sql('DROP FUNCTION wait_once CASCADE');
        await fixture.sql('DROP SEQUENCE inserts');
      }
    });
  },
);
