/** @never typeorm-0.3 */

import { JobsEngine } from 'nestjs-jobs';
import { RowLockedError } from '../../../lib/core/errors.js';
import { claimOne, insertMany, insertOne, newJob, outcomes, settlement, TOPIC } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';

describe.each(storeKinds().filter(({ locksRows }) => locksRows))(
  'an action that waits for a locked row on $label',
  (kind) => {
    const fixture = useStore(kind);

    const ended = `locked_until = NULL, locked_by = NULL, finished = statement_timestamp()`;

    it('cancels a job that returned to waiting during the wait', async () => {
      const { id } = await claimOne(fixture.store);
      const transaction = await fixture.begin();
      await transaction.manager.query(
        `UPDATE _jobs SET status = 'pending', locked_until = NULL, locked_by = NULL WHERE id = $1`,
        [id],
      );
      const changed = fixture.store.cancel([id]);
      await fixture.untilLockWait();
      await transaction.commit();
      expect(await changed).toMatchObject([{ changed: true, status: 'cancelled' }]);
      expect(await fixture.job(id)).toMatchObject({ status: 'cancelled', lockedUntil: null, lockedBy: null });
    });

    it('requests the cancel of a job that was claimed during the wait', async () => {
      const id = await insertOne(fixture.store);
      const transaction = await fixture.begin();
      await transaction.manager.query(
        `UPDATE _jobs SET status = 'processing', attempt = 1, locked_by = 'w',
         locked_until = statement_timestamp() + interval '1 minute' WHERE id = $1`,
        [id],
      );
      const changed = fixture.store.cancel([id]);
      await fixture.untilLockWait();
      await transaction.commit();
      expect(await changed).toMatchObject([{ changed: true, status: 'processing' }]);
      const job = await fixture.job(id);
      expect(job).toMatchObject({ status: 'processing', cancelRequested: true, lockedBy: 'w', finished: null });
      expect(job.lockedUntil).not.toBeNull();
    });

    it('does not cancel a job that was completed during the wait', async () => {
      const token = await claimOne(fixture.store);
      const transaction = await fixture.begin();
      await fixture.store.completeTx(transaction.manager, token, '1');
      const changed = fixture.store.cancel([token.id]);
      await fixture.untilLockWait();
      await transaction.commit();
      expect(await changed).toMatchObject([{ changed: false, status: 'completed' }]);
      expect(await fixture.job(token.id)).toMatchObject({ status: 'completed', cancelRequested: false });
    });

    it('requeues a job that failed during the wait', async () => {
      const { id } = await claimOne(fixture.store);
      const transaction = await fixture.begin();
      await transaction.manager.query(`UPDATE _jobs SET status = 'failed', ${ended} WHERE id = $1`, [id]);
      const changed = fixture.store.requeue([id]);
      await fixture.untilLockWait();
      await transaction.commit();
      expect(await changed).toMatchObject([{ changed: true, status: 'pending' }]);
      expect(await fixture.job(id)).toMatchObject({
        status: 'pending',
        lockedUntil: null,
        lockedBy: null,
        finished: null,
      });
    });

    it('does not requeue a job that was requeued during the wait', async () => {
      const token = await claimOne(fixture.store);
      await fixture.store.settle([settlement(token, outcomes.failed())]);
      const transaction = await fixture.begin();
      await transaction.manager.query(
        `UPDATE _jobs SET status = 'pending', finished = NULL, payload = '"theirs"' WHERE id = $1`,
        [token.id],
      );
      const changed = fixture.store.requeue([token.id], { payload: '"ours"' });
      await fixture.untilLockWait();
      await transaction.commit();
      expect(await changed).toMatchObject([{ changed: false, status: 'pending', holderId: null }]);
      expect(await fixture.job(token.id)).toMatchObject({ status: 'pending', payload: 'theirs' });
    });

    it('deletes a job that ended during the wait', async () => {
      const { id } = await claimOne(fixture.store);
      const transaction = await fixture.begin();
      await transaction.manager.query(`UPDATE _jobs SET status = 'failed', ${ended} WHERE id = $1`, [id]);
      const changed = fixture.store.delete([id]);
      await fixture.untilLockWait();
      await transaction.commit();
      expect(await changed).toMatchObject([{ changed: true, status: 'failed' }]);
      expect(await fixture.store.find([id])).toEqual([]);
    });

    it('does not delete a job that was claimed during the wait', async () => {
      const id = await insertOne(fixture.store);
      const transaction = await fixture.begin();
      await transaction.manager.query(
        `UPDATE _jobs SET status = 'processing', attempt = 1, locked_until = statement_timestamp() WHERE id = $1`,
        [id],
      );
      const changed = fixture.store.delete([id]);
      await fixture.untilLockWait();
      await transaction.commit();
      expect(await changed).toMatchObject([{ changed: false, status: 'processing' }]);
      expect(await fixture.store.find([id])).toHaveLength(1);
    });

    it.each(['cancel', 'requeue', 'delete'] as const)(
      'finds nothing to %s when the job was deleted during the wait',
      async (verb) => {
        const id = await insertOne(fixture.store);
        const transaction = await fixture.begin();
        await transaction.manager.query('DELETE FROM _jobs WHERE id = $1', [id]);
        const changed = fixture.store[verb]([id]);
        await fixture.untilLockWait();
        await transaction.commit();
        expect(await changed).toMatchObject([
          { id, changed: false, status: null, topic: null, attempt: 0, holderId: null },
        ]);
      },
    );
  },
);

describe.each(storeKinds().filter(({ locksRows }) => locksRows))(
  'a bulk action beside locked rows on $label',
  (kind) => {
    const fixture = useStore(kind);

    it('skips and reports rows that a transaction locks for long, and changes the others', async () => {
      const ids = await insertMany(fixture.store, 6);
      const engine = new JobsEngine({ store: fixture.store });
      const cancelled: string[] = [];
      engine.events.subscribe(({ type, id }) => type === 'cancelled' && cancelled.push(id));
      const held = [ids[1]!, ids[4]!];
      const transaction = await fixture.begin();
      await transaction.manager.query('SELECT 1 FROM _jobs WHERE id = ANY ($1::uuid[]) FOR UPDATE', [held]);
      expect(await engine.bulk.run({ action: 'cancel', ids })).toMatchObject({
        matched: 6,
        changed: 4,
        skipped: 2,
        more: false,
        skippedReasons: [{ reason: 'an open transaction holds it', count: 2, ids: held }],
      });
      expect(await engine.bulk.run({ action: 'cancel', ids: held.slice(0, 1) })).toMatchObject({
        changed: 0,
        skippedReasons: [{ reason: 'an open transaction holds it', count: 1, ids: held.slice(0, 1) }],
      });
      await expect(engine.jobs.cancel(held[0]!)).rejects.toThrow(RowLockedError);
      await transaction.rollback();
      expect(cancelled).toEqual(ids.filter((id) => !held.includes(id)));
      for (const id of ids) {
        expect(await fixture.job(id)).toMatchObject({ status: held.includes(id) ? 'pending' : 'cancelled' });
      }
      await engine.close();
    });

    it('requeues one of two jobs with the same key, and all others except a locked row and a locked key', async () => {
      const failed = async (uniqueKey: string | null): Promise<string> => {
        const token = await claimOne(fixture.store, { uniqueKey });
        await fixture.store.settle([settlement(token, outcomes.failed())]);
        return token.id;
      };
      const [plain, row, twin, otherTwin, key, last] = [
        await failed(null),
        await failed(null),
        await failed('twin'),
        await failed('twin'),
        await failed('held'),
        await failed(null),
      ];
      const ids = [plain, row, twin, otherTwin, key, last];
      const transaction = await fixture.begin();
      await transaction.manager.query('SELECT 1 FROM _jobs WHERE id = $1 FOR UPDATE', [row]);
      await fixture.store.insert([newJob({ topic: TOPIC, uniqueKey: 'held' })], transaction.manager);
      const changed = await fixture.store.requeue(ids);
      await transaction.rollback();
      expect(changed.map(({ changed: isChanged, reason }) => [isChanged, reason?.constructor.name])).toEqual([
        [true, undefined],
        [false, 'RowLockedError'],
        [true, undefined],
        [false, undefined],
        [false, 'RowLockedError'],
        [true, undefined],
      ]);
    });
  },
);
