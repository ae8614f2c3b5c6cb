/**
 * @never typeorm-0.3
 * @slow
 */

import { filter } from 'rxjs';
import { JobsEngine, LeaseLostError, UnrecoverableError } from 'nestjs-jobs';
import { insertOne, newJob, TOPIC } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { until } from '../../support/wait.js';

const postgresKinds = storeKinds().filter(({ locksRows }) => locksRows);
const REFUSED = 'refused';

describe.each(postgresKinds)('triggers of the application on $label', (kind) => {
  const fixture = useStore(kind);
  let engine: JobsEngine;

  const trigger = async (when: string, body: string): Promise<void> => {
    await fixture.sql(`CREATE OR REPLACE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${body} END $$`);
    await fixture.sql(`CREATE TRIGGER acting ${when} ON _jobs FOR EACH ROW EXECUTE FUNCTION act()`);
  };
  afterEach(async () => {
    await engine.close();
    await fixture.sql('DROP TRIGGER acting ON _jobs');
  });

  it.each(['45000', 'AB123', '2F005', '20000'])('that raise %s reject only their own job', async (code) => {
    await trigger(
      'AFTER INSERT',
      `IF NEW.topic = '${REFUSED}' THEN RAISE 'no' USING ERRCODE = '${code}'; END IF; RETURN NULL;`,
    );
    engine = new JobsEngine({ store: fixture.store });
    const topics = [TOPIC, TOPIC, REFUSED, TOPIC, TOPIC];
    const stored = await Promise.allSettled(topics.map((topic) => engine.enqueue(topic, null)));
    expect(stored.map(({ status }) => status)).toEqual(topics.map((t) => (t === REFUSED ? 'rejected' : 'fulfilled')));
    expect(stored[2]).toMatchObject({ reason: { code: 'DATABASE_REFUSED', message: 'no' } });
  });

  it('that reject an outcome with a code of their own do not delay other outcomes', async () => {
    const body = `IF NEW.topic = '${REFUSED}' AND NEW.status = 'completed' THEN RAISE 'no' USING ERRCODE = '45000'; END IF; RETURN NULL;`;
    await trigger('AFTER UPDATE', body);
    engine = new JobsEngine({ store: fixture.store });
    engine.register(TOPIC, () => null);
    engine.register(REFUSED, () => null);
    const topics = [TOPIC, REFUSED, TOPIC, TOPIC];
    await engine.enqueueMany(topics.map((topic) => ({ topic, payload: null })));
    await engine.start();
    await until(async () => (await engine.stats.get(TOPIC)).completed === 3);
    // After several retries the queue leaves the job to its lease.
    await engine.whenIdle();
    expect(await engine.stats.get(REFUSED)).toMatchObject({ completed: 0, processing: 1 });
  });

  it('that drop a row are detected for a single job and in a batch', async () => {
    await trigger('BEFORE INSERT', `RETURN CASE WHEN NEW.topic = '${REFUSED}' THEN NULL ELSE NEW END;`);
    engine = new JobsEngine({ store: fixture.store });
    const reason = {
      code: 'DATABASE_REFUSED',
      message: expect.stringContaining(`'${REFUSED}'`) as string,
    };
    await expect(engine.enqueue(REFUSED, null)).rejects.toMatchObject(reason);
    const topics = [TOPIC, REFUSED, TOPIC];
    const stored = await Promise.allSettled(topics.map((topic) => engine.enqueue(topic, null)));
    expect(stored).toMatchObject([{ status: 'fulfilled' }, { reason }, { status: 'fulfilled' }]);
    await expect(engine.enqueueMany(topics.map((topic) => ({ topic, payload: null })))).rejects.toMatchObject(reason);
    await fixture.app.transaction(async (manager) => {
      await expect(fixture.store.insert([newJob({ topic: REFUSED })], manager)).rejects.toMatchObject(reason);
    });
  });
});

describe.each(storeKinds().filter(({ locksRows }) => !locksRows))('triggers of the application on $label', (kind) => {
  const fixture = useStore(kind);

  it('that reject the outcome of one job neither delay nor undo other outcomes', async () => {
    await fixture.sql(
      `CREATE TRIGGER acting BEFORE UPDATE ON _jobs WHEN NEW.status = 'failed' BEGIN SELECT RAISE(ABORT, 'no'); END`,
    );
    const engine = new JobsEngine({ store: fixture.store, concurrency: 300 });
    const ends: string[] = [];
    engine.events
      .pipe(filter(({ type }) => type !== 'enqueued' && type !== 'started'))
      .subscribe(({ type, topic }) => ends.push(`${type} ${topic}`));
    engine.register(TOPIC, () => null);
    engine.register(REFUSED, () => Promise.reject(new UnrecoverableError('for good')));
    const topics = Array.from({ length: 250 }, (_, n) => (n % 50 === 7 ? REFUSED : TOPIC));
    await engine.enqueueMany(topics.map((topic) => ({ topic, payload: null })));
    await engine.start();
    // After several retries the queue leaves the other jobs to their leases.
    await engine.whenIdle();
    expect(ends.sort()).toEqual([
      ...topics.filter((topic) => topic === TOPIC).map(() => `completed ${TOPIC}`),
      ...topics.filter((topic) => topic === REFUSED).map(() => `lease_lost ${REFUSED}`),
    ]);
    expect(await engine.stats.get(TOPIC)).toMatchObject({ completed: 245, processing: 0 });
    expect(await engine.stats.get(REFUSED)).toMatchObject({ failed: 0, processing: 5 });
    await engine.close();
    await fixture.sql('DROP TRIGGER acting');
  });
});

describe.each(postgresKinds)('a trigger that drops one job of a batch on $label', (kind) => {
  const fixture = useStore(kind);

  beforeEach(async () => {
    const body = `RETURN CASE WHEN NEW.payload = '7' THEN NULL ELSE NEW END;`;
    await fixture.sql(`CREATE FUNCTION leave_out() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${body} END $$`);
    await fixture.sql('CREATE TRIGGER leaving_out BEFORE INSERT ON _jobs FOR EACH ROW EXECUTE FUNCTION leave_out()');
  });
  afterEach(() => fixture.sql('DROP FUNCTION leave_out CASCADE'));

  it.each([
    ['equal', () => ({})],
    ['different', (n: number) => ({ priority: n % 3 })],
  ])('rejects the whole batch of %s jobs', async (_how, createMembers) => {
    const jobs = Array.from({ length: 20 }, (_, n) => newJob({ payload: String(n), ...createMembers(n) }));
    await expect(fixture.store.insert(jobs)).rejects.toMatchObject({ code: 'DATABASE_REFUSED' });
    expect(await fixture.store.find(jobs.map(({ id }) => id))).toEqual([]);
    const others = jobs.filter(({ payload }) => payload !== '7');
    expect(await fixture.store.insert(others)).toHaveLength(19);
  });

  it('does not affect the jobs of other callers', async () => {
    const engine = new JobsEngine({ store: fixture.store });
    const stored = await Promise.allSettled(Array.from({ length: 20 }, (_, n) => engine.enqueue(TOPIC, n)));
    expect(stored.filter(({ status }) => status === 'fulfilled')).toHaveLength(19);
    expect(stored[7]).toMatchObject({ status: 'rejected', reason: { code: 'DATABASE_REFUSED' } });
    await engine.close();
  });
});

describe.each(postgresKinds.slice(0, 1))('a slow trigger of the application on $label', (kind) => {
  // A statement may take as long as a lease; one statement for all of these jobs would take 3 s.
  const fixture = useStore(kind, { lease: '2s' });

  it('reduces batches of claims and outcomes until they succeed', async () => {
    await fixture.sql(
      `CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.1); RETURN NULL; END $$`,
    );
    await fixture.sql(`CREATE TRIGGER waiting AFTER UPDATE ON _jobs FOR EACH ROW EXECUTE FUNCTION wait()`);
    const engine = new JobsEngine({ store: fixture.store, lease: '2s', concurrency: 30 });
    engine.register(TOPIC, () => null);
    await engine.enqueueMany(Array.from({ length: 30 }, () => ({ topic: TOPIC, payload: null })));
    await engine.start();
    await until(async () => (await engine.stats.get(TOPIC)).completed > 0, { timeoutMs: 40_000 });
    await engine.close();
  }, 60_000);
});

describe.each(postgresKinds)('a conflict in a transaction of the caller on $label', (kind) => {
  const fixture = useStore(kind);

  it("rejects with TypeORM's error, so that callers can repeat the transaction", async () => {
    const engine = new JobsEngine({ store: fixture.store });
    const conflict = fixture.app.transaction('REPEATABLE READ', async (manager) => {
      await manager.query('SELECT count(*) FROM _jobs');
      await insertOne(fixture.store, { uniqueKey: 'one' });
      await engine.enqueueTx(manager, TOPIC, null, { uniqueKey: 'one' });
    });
    await expect(conflict).rejects.toMatchObject({ name: 'QueryFailedError', driverError: { code: '40001' } });
    await engine.close();
  });
});

describe.each(storeKinds())('completeTx on $label', (kind) => {
  const fixture = useStore(kind);

  it('rejects a second call in one transaction', async () => {
    const engine = new JobsEngine({ store: fixture.store, maxRetries: 0 });
    const refusals: unknown[] = [];
    engine.register(TOPIC, (job) =>
      fixture.app.transaction(async (manager) => {
        await job.completeTx(manager);
        await job.completeTx(manager).catch((error: unknown) => refusals.push(error));
      }),
    );
    const { id } = await engine.enqueue(TOPIC, null);
    await engine.start();
    await engine.whenIdle();
    expect(await engine.jobs.get(id)).toMatchObject({ status: 'completed' });
    expect(refusals).toEqual([expect.any(LeaseLostError)]);
    expect((refusals[0] as Error).message).toMatch(/already completed/);
    await engine.close();
  });
});
