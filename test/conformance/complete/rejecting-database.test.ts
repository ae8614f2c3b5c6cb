/** @never typeorm-0.3 */

import type { JobEvent } from 'nestjs-jobs';
import { JobsEngine, QueueUnavailableError } from 'nestjs-jobs';
import { overrideStore } from '../../support/override-store.js';
import { TOPIC } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { signal, until } from '../../support/wait.js';

const JOBS = 5;

const rejections = [
  {
    title: 'the table is missing for a moment',
    deny: ['ALTER TABLE _jobs RENAME TO _jobs_elsewhere'],
    allow: 'ALTER TABLE _jobs_elsewhere RENAME TO _jobs',
    complaint: /"_jobs" does not exist/,
  },
  {
    title: 'logins are not allowed',
    deny: [
      'UPDATE pg_database SET datallowconn = false WHERE datname = current_database()',
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND application_name = 'nestjs-jobs'`,
    ],
    allow: 'UPDATE pg_database SET datallowconn = true WHERE datname = current_database()',
    complaint: /not currently accepting connections/,
  },
];

describe.each(storeKinds().filter(({ locksRows }) => locksRows))('a rejecting database on $label', (kind) => {
  const fixture = useStore(kind);

  it.each(rejections)('loses no outcome and runs no job twice while $title', async ({ deny, allow, complaint }) => {
    const end = signal();
    const calls: string[] = [];
    const events: JobEvent[] = [];
    const completed = (): JobEvent[] => events.filter(({ type }) => type === 'completed');
    let rejectionCount = 0;
    const store = overrideStore(fixture.store, {
      settle: (...given) =>
        fixture.store.settle(...given).catch((error: Error) => {
          rejectionCount += Number(complaint.test(error.message));
          throw error;
        }),
    });
    const engine = new JobsEngine({ store, concurrency: JOBS, pollInterval: 100 });
    engine.events.subscribe((event) => events.push(event));
    engine.register(TOPIC, async ({ id }) => {
      calls.push(id);
      await end.promise;
      return { done: id };
    });
    await engine.start();
    const outside = fixture.app.createQueryRunner();
    try {
      const jobs = await engine.enqueueMany(Array.from({ length: JOBS }, () => ({ topic: TOPIC, payload: null })));
      await until(() => calls.length === JOBS);
      for (const sql of deny) await outside.query(sql);
      const enqueueError = (): Promise<Error | undefined> =>
        engine.enqueue(TOPIC, null).then(
          () => undefined,
          (error: Error) => (complaint.test(error.message) ? error : undefined),
        );
      expect(await until(enqueueError)).toBeInstanceOf(QueueUnavailableError);
      end.resolve();
      await until(() => rejectionCount > 0);
      expect(completed()).toEqual([]);
      await outside.query(allow);
      await until(() => completed().length === JOBS);
      for (const { id } of jobs) {
        expect(await fixture.job(id)).toMatchObject({ status: 'completed', attempt: 1, result: { done: id } });
      }
      expect(calls).toHaveLength(JOBS);
      expect(events.filter(({ type }) => type === 'lease_lost')).toEqual([]);
    } finally {
      end.resolve();
      await outside.query(allow).catch(() => undefined);
      await outside.release();
      await engine.close();
    }
  });
});
