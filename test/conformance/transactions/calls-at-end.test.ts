/** @npm-test typeorm-0.3, typeorm-0.3-postgres */

import type { DataSource, EntityManager } from 'typeorm';
import { storeKinds, useStore } from '../../support/stores.js';
import { useRecordingEngine } from '../../support/recording-engine.js';

/** Delays of the calls after the start of the work, in microtasks. */
const DISTANCES = Array.from({ length: 40 }, (_, index) => index);

const ENDS: [string, (app: DataSource, work: (manager: EntityManager) => void) => Promise<unknown>][] = [
  ['committed', (app, work) => app.transaction(async (manager) => work(manager))],
  [
    'rolled back',
    (app, work) =>
      app.transaction(async (manager) => {
        work(manager);
        throw new Error('no');
      }),
  ],
  [
    'rolled back to a savepoint',
    (app, work) =>
      app.transaction((manager) =>
        manager
          .transaction(async (inner) => {
            work(inner);
            throw new Error('no');
          })
          .catch(() => undefined),
      ),
  ],
];

describe.each(storeKinds())(
  'a call near the end of a transaction on $label, with a subscriber of the application',
  (kind) => {
    const fixture = useStore(kind);
    const queue = useRecordingEngine(fixture);
    beforeEach(() =>
      fixture.subscribe({ beforeTransactionCommit: () => undefined, beforeTransactionRollback: () => undefined }),
    );

    it.each(ENDS)('stores nothing outside of a transaction that is %s', async (how, end) => {
      const late: Promise<string | undefined>[] = [];
      const call = async (manager: EntityManager, distance: number): Promise<string> => {
        for (let step = 0; step < distance; step += 1) await Promise.resolve();
        return queue.enqueueTx(manager);
      };
      for (const distance of DISTANCES) {
        const work = (manager: EntityManager): void => void late.push(call(manager, distance).catch(() => undefined));
        await end(fixture.app, work).catch(() => undefined);
      }
      const accepted = (await Promise.all(late)).filter((id) => id !== undefined);
      const stored = await queue.listIds();
      // Calls before and after a savepoint that is rolled back may be stored.
      const mayBeStored = { committed: accepted, 'rolled back': [] }[how] ?? stored;
      expect(stored.sort()).toEqual([...mayBeStored].sort());
      // Not every driver waits for statements in flight: a job may then be stored without an event.
      expect(kind.locksRows ? queue.eventIds.sort() : stored).toEqual(stored);
      expect(stored).toEqual(expect.arrayContaining(queue.eventIds));
    });
  },
);
