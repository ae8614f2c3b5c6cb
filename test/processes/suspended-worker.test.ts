/**
 * @matrix sqlite
 * @slow
 */

import { until } from '../support/wait.js';
import { useBuiltPackage } from './support/built-package.js';
import { killPrograms, Program } from './support/program.js';
import type { QueueDatabase } from './support/queue-database.js';
import { newestDatabases } from './support/queue-database.js';

const options = { lease: '1s', pollInterval: '200ms' } as const;

useBuiltPackage();

describe.each(newestDatabases)(
  'a worker on $name that is stopped for longer than its lease and continued',
  ({ create }) => {
    let database: QueueDatabase;
    let paused: Program;
    let other: Program;

    beforeEach(async () => {
      database = await create();
      paused = await Program.start('worker', { database: database.address, options });
    });

    afterEach(async () => {
      await killPrograms();
      await database.close();
    });

    /** Stops the first worker in its handler and starts another one. */
    async function pause(id: string): Promise<void> {
      await paused.report('began', (report) => report.id === id);
      other = await Program.start('worker', { database: database.address, options });
      paused.send('pause');
    }

    /** Continues the first worker. Its handler ends without reading its signal. */
    async function resume(id: string): Promise<void> {
      paused.send('open');
      paused.signal('SIGCONT');
      await paused.report('event', ({ event }) => event.type === 'lease_lost' && event.id === id);
    }

    /** Expects that the attempt ran to its end and that its completion was rejected once. */
    function expectRejected(id: string): void {
      expect(paused.all('returned').map((report) => [report.id, report.attempt])).toEqual([[id, 1]]);
      expect(paused.events('lease_lost')).toMatchObject([{ id, attempt: 1 }]);
      expect(paused.all('aborted')).toMatchObject([{ id, attempt: 1, reason: 'LEASE_LOST' }]);
    }

    it('cannot complete the job after the other worker has completed it', async () => {
      const { id } = await database.enqueue('plain', { gated: 1 });
      await pause(id);
      const finished = await database.completed(id);
      await resume(id);

      expectRejected(id);
      expect(finished).toMatchObject({ attempt: 2, retries: 1, result: { worker: `${other.pid}/1` } });
      expect(await database.job(id)).toEqual(finished);
      // At-least-once: effects outside the transaction of the queue happen twice.
      expect(await database.effects(id)).toMatchObject([
        { attempt: 2, worker: `${other.pid}/1` },
        { attempt: 1, worker: `${paused.pid}/1` },
      ]);
    });

    it('cannot complete the job while the other worker runs it', async () => {
      const { id } = await database.enqueue('plain', { gated: 2 });
      await pause(id);
      await other.report('began', ({ attempt }) => attempt === 2);
      await resume(id);

      expectRejected(id);
      expect(await database.job(id)).toMatchObject({ status: 'processing', attempt: 2, result: null });
      other.send('open');
      expect(await database.completed(id)).toMatchObject({
        attempt: 2,
        retries: 1,
        result: { worker: `${other.pid}/1` },
      });
      expect(other.events('lease_lost')).toEqual([]);
    });

    it('records in the error of the lost attempt that its event loop stood still', async () => {
      const { id } = await database.enqueue('plain', { gated: 2 });
      await pause(id);
      await other.report('began', ({ attempt }) => attempt === 2);
      await resume(id);
      const reason =
        /lost: worker .* its handler may have run; the event loop of this worker stood still for [\d.]+ s while 'plain' ran$/;
      await until(async () => reason.test((await database.job(id)).errors[0]!.message));
      other.send('open');
      expect(await database.completed(id)).toMatchObject({
        attempt: 2,
        lastError: expect.stringMatching(reason) as string,
      });
    });

    it('cannot complete the job by completeTx while the other worker runs it, and its effect rolls back', async () => {
      const { id } = await database.enqueue('complete_tx', { gated: 2 });
      await pause(id);
      await other.report('began', ({ attempt }) => attempt === 2);
      await resume(id);

      expect(paused.all('refused')).toEqual([{ kind: 'refused', id, attempt: 1, code: 'LEASE_LOST' }]);
      expect(await database.statusAndEffects(id)).toEqual({ status: 'processing', effects: 0 });
      other.send('open');
      expect(await database.completed(id)).toMatchObject({ attempt: 2, retries: 1 });
      expect(await database.effects(id)).toMatchObject([{ attempt: 2, worker: `${other.pid}/1` }]);
    });
  },
);
