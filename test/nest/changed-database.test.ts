import { signal, until } from '../support/wait.js';
import { useApps } from './support/apps.js';
import { sharedKinds } from './support/database-kinds.js';
import { waitForAbort } from './support/wait-for-abort.js';
import type { TestApp } from './support/test-app.js';

const LEASE_MS = 600;

describe.each(sharedKinds)('a changed database on $label:', (kind) => {
  const apps = useApps(kind);

  it('rows deleted while a job runs: the attempt loses its lease, writes nothing, and new jobs run', async () => {
    const reasons: unknown[] = [];
    const recordReason = (reason: { code: string }): void => void reasons.push(reason.code);
    const emptied = signal();
    const app: TestApp = await apps.start({
      options: { lease: LEASE_MS },
      handlers: {
        long: (job) => waitForAbort(job).catch(recordReason),
        complete_tx: async (job) => {
          await emptied.promise;
          await app.dataSource.transaction((manager) => job.completeTx(manager)).catch(recordReason);
        },
        work: () => 'done',
      },
    });
    const { id } = await app.jobs.enqueue('long', null);
    const other = await app.jobs.enqueue('complete_tx', null);
    await Promise.all([app.event('started', id), app.event('started', other.id)]);
    await app.dataSource.query('DELETE FROM _jobs');
    emptied.resolve();

    await Promise.all([app.event('lease_lost', id), app.event('lease_lost', other.id)]);
    await until(() => reasons.length === 2);
    expect(reasons).toEqual(['LEASE_LOST', 'LEASE_LOST']);
    expect(await app.jobs.get(id)).toBeNull();
    const next = await app.jobs.enqueue('work', null);
    expect(await app.jobAfter('completed', next.id)).toMatchObject({ result: 'done' });
  });

  it('all tables dropped by the application: calls reject until a restart creates the tables', async () => {
    const app = await apps.start({ handlers: { work: ({ payload }): unknown => payload } });
    const { id } = await app.jobs.enqueue('work', 'before');
    await app.event('completed', id);
    await app.dataSource.synchronize(true);
    await expect(app.jobs.enqueue('work', 'too early')).rejects.toMatchObject({ code: 'QUEUE_UNAVAILABLE' });
    await app.close();

    const restarted = await apps.start({ handlers: { work: ({ payload }): unknown => payload } });
    const next = await restarted.jobs.enqueue('work', 'after');
    expect(await restarted.jobAfter('completed', next.id)).toMatchObject({ result: 'after' });
    expect(await restarted.jobs.get(id)).toBeNull();
  });

  it('a newer version has added a column and a table: this version keeps working', async () => {
    const first = await apps.start({ options: { role: 'producer' } });
    await first.close();
    const another = await apps.start({ options: { role: 'producer' } });
    await another.dataSource.query('ALTER TABLE _jobs ADD COLUMN added_later integer DEFAULT 1');
    await another.dataSource.query('CREATE TABLE _jobs_added_later (id integer)');
    await another.dataSource.query(
      `INSERT INTO _jobs_migrations (timestamp, name) VALUES (9999999999999, 'AddedLater9999999999999')`,
    );

    const app = await apps.start({ handlers: { work: () => 'done' } });
    const { id } = await app.jobs.enqueue('work', null);
    expect(await app.jobAfter('completed', id)).toMatchObject({ result: 'done' });
  });

  it('two versions of the application share it: each runs only the topics it has a handler for', async () => {
    const old = await apps.start({ handlers: { known: () => 'old', dropped: () => 'old' } });
    const fresh = await apps.start({ handlers: { known: () => 'fresh', added: () => 'fresh' } });
    const [added, dropped] = await fresh.jobs.enqueueMany([
      { topic: 'added', payload: null },
      { topic: 'dropped', payload: null },
    ]);
    await Promise.all([fresh.event('completed', added!.id), old.event('completed', dropped!.id)]);
    expect(await old.job(added!.id)).toMatchObject({ attempt: 1, result: 'fresh' });
    expect(await old.job(dropped!.id)).toMatchObject({ attempt: 1, result: 'old' });

    await old.close();
    const { id } = await fresh.jobs.enqueue('dropped', null);
    const known = await fresh.jobs.enqueue('known', null);
    await fresh.event('completed', known.id);
    await until(async () => (await fresh.job(id)).status === 'pending');
    expect(await fresh.job(id)).toMatchObject({ status: 'pending', attempt: 0 });
  });
});
