import { QueueUnavailableError } from 'nestjs-jobs';
import type { QueryRunner } from 'typeorm';
import { signal, until } from '../support/wait.js';
import { useApps } from './support/apps.js';
import { postgres } from './support/database-kinds.js';

const JOBS = 5;

describe('a database that is there and does not serve the queue, on PostgreSQL', () => {
  const apps = useApps(postgres);

  it.each([
    {
      title: 'the table is away for a moment',
      deny: ['ALTER TABLE _jobs RENAME TO _jobs_elsewhere'],
      allow: 'ALTER TABLE _jobs_elsewhere RENAME TO _jobs',
      complaint: /"_jobs" does not exist/,
    },
    {
      title: 'nobody may log in',
      deny: [
        'UPDATE pg_database SET datallowconn = false WHERE datname = current_database()',
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'nestjs-jobs'`,
      ],
      allow: 'UPDATE pg_database SET datallowconn = true WHERE datname = current_database()',
      complaint: /not currently accepting connections/,
    },
  ])('loses no outcome and runs nothing twice: $title', async ({ deny, allow, complaint }) => {
    const end = signal();
    const calls: string[] = [];
    const app = await apps.start({
      options: { pollInterval: '100ms', concurrency: JOBS },
      handlers: {
        work: async ({ id }) => {
          calls.push(id);
          await end.promise;
          return { done: id };
        },
      },
    });
    const jobs = await app.jobs.enqueueMany(Array.from({ length: JOBS }, () => ({ topic: 'work', payload: null })));
    await until(() => calls.length === JOBS);
    const outside: QueryRunner = app.dataSource.createQueryRunner();
    try {
      for (const sql of deny) await outside.query(sql);
      const refusal = await until(() =>
        app.jobs.enqueue('work', null).then(
          () => undefined,
          (error: Error) => (complaint.test(error.message) ? error : undefined),
        ),
      );
      expect(refusal).toBeInstanceOf(QueueUnavailableError);
      end.resolve();
      // Time enough for tries in vain: they ended and stay unrecorded.
      const unrecorded = { topics: [{ topic: 'work', running: 0, unrecorded: JOBS }] };
      await expect(app.jobs.whenIdle({ timeout: '500ms' })).rejects.toMatchObject(unrecorded);
      expect(apps.log.of('error').some((text) => complaint.test(text))).toBe(true);
    } finally {
      end.resolve();
      await outside.query(allow);
      await outside.release();
    }
    for (const { id } of jobs) {
      expect(await app.jobAfter('completed', id)).toMatchObject({ attempt: 1, result: { done: id } });
    }
    expect(calls).toHaveLength(JOBS);
    expect(app.eventsOf('lease_lost')).toEqual([]);
  });
});
