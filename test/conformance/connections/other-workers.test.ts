import type { WorkerSharing } from '../../../lib/store/reports/report-records.js';
import { WORKER_DETAILS } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';

const TOPICS = ['mail', 'sms'];

/** One database: the list is plain SQL. */
const kind = storeKinds().find(({ hasNotifications }) => hasNotifications)!;

describe(`the list of processes that share notifications on ${kind.label}`, () => {
  const fixture = useStore(kind);
  let sharing: WorkerSharing;

  beforeEach(async () => {
    await fixture.sql('DELETE FROM _jobs_workers');
    const [row] = await fixture.sql<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    sharing = { pollIntervalMs: 1_000, backend: row!.pid };
  });

  const record = (worker: string, topics = TOPICS, shared: WorkerSharing | null = sharing) =>
    fixture.store.reports.recordWorker(worker, topics, WORKER_DETAILS, shared);

  it('names the others, and their topics unless they are the same', async () => {
    expect((await record('a')).others).toEqual([]);
    await record('b', ['mail'], { ...sharing, pollIntervalMs: 50 });
    expect((await record('c')).others).toEqual(
      expect.arrayContaining([
        { worker: 'a', topics: undefined, pollIntervalMs: 1_000 },
        { worker: 'b', topics: ['mail'], pollIntervalMs: 50 },
      ]),
    );
  });

  it('leaves out processes that poll alone, and names no others to them', async () => {
    await record('a');
    await record('alone', TOPICS, null);
    expect((await record('alone', TOPICS, null)).others).toEqual([]);
    expect((await record('b')).others).toHaveLength(1);
  });

  it('leaves out a killed process at once, a silent one after 45 s, and one that has stopped', async () => {
    await record('killed', TOPICS, { ...sharing, backend: 2 ** 22 + 1 });
    await record('silent');
    await fixture.sql(`UPDATE _jobs_workers SET seen = seen - interval '46 seconds' WHERE worker = 'silent'`);
    await record('stopped');
    await fixture.store.reports.forgetWorker('stopped');
    expect((await record('a')).others).toEqual([]);
  });

  it('shows nothing of it to users', async () => {
    await record('a');
    expect(await fixture.store.reports.workers()).toEqual([
      { ...WORKER_DETAILS, worker: 'a', topics: TOPICS, isAlive: true, lastSeen: expect.any(Date) as Date },
    ]);
  });
});
