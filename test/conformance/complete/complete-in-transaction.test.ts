/** @npm-test typeorm-0.3, typeorm-0.3-postgres */

import { v7 as uuidv7 } from 'uuid';
import { InvalidOptionsError, JobStateError, LeaseLostError, UnknownDataSourceError } from 'nestjs-jobs';
import { claim, claimMany, claimOne, insertOne, newJob, outcomes, settlement } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';

describe.each(storeKinds())('completeTx on $label', (kind) => {
  const fixture = useStore(kind);

  beforeAll(() => fixture.sql('CREATE TABLE effect (job_id varchar(36) NOT NULL)'));
  beforeEach(() => fixture.sql('DELETE FROM effect'));

  const readEffects = async (): Promise<string[]> =>
    (await fixture.sql<{ job_id: string }>('SELECT job_id FROM effect')).map((row) => row.job_id);

  it('commits the completion together with the writes of the transaction', async () => {
    const token = await claimOne(fixture.store);
    await fixture.app.transaction(async (manager) => {
      await manager.query(`INSERT INTO effect VALUES ('${token.id}')`);
      await fixture.store.completeTx(manager, token, '{"sent":true}');
    });
    const job = await fixture.job(token.id);
    expect(job).toMatchObject({
      status: 'completed',
      attempt: 1,
      retries: 0,
      result: { sent: true },
      lockedUntil: null,
      lockedBy: null,
      finished: job.updated,
      lastError: null,
    });
    expect(await readEffects()).toEqual([token.id]);
  });

  it('stores the progress that comes with it, and keeps the value of the row without one', async () => {
    const claims = await claimMany(fixture.store, 3);
    await fixture.store.recordProgress(claims.map((token) => ({ token, progress: '{"done":1}' })));
    await fixture.app.transaction(async (manager) => {
      await fixture.store.completeTx(manager, claims[0]!, null, '{"done":2}');
      await fixture.store.completeTx(manager, claims[1]!, null, 'null');
      await fixture.store.completeTx(manager, claims[2]!, null);
    });
    const jobs = await Promise.all(claims.map(({ id }) => fixture.job(id)));
    expect(jobs.map(({ progress }) => progress)).toEqual([{ done: 2 }, null, { done: 1 }]);
  });

  it('rolls the completion back together with the writes of the transaction', async () => {
    const token = await claimOne(fixture.store);
    const before = await fixture.job(token.id);
    const transaction = await fixture.begin();
    await transaction.manager.query(`INSERT INTO effect VALUES ('${token.id}')`);
    await fixture.store.completeTx(transaction.manager, token, '1');
    await transaction.rollback();
    expect(await fixture.job(token.id)).toEqual(before);
    expect(await readEffects()).toEqual([]);
    expect(await fixture.store.settle([settlement(token, outcomes.failed())])).toMatchObject([{ applied: true }]);
  });

  it('rolls the completion back with its savepoint', async () => {
    const token = await claimOne(fixture.store);
    await fixture.app.transaction(async (manager) => {
      const savepoint = manager.transaction(async (inner) => {
        await fixture.store.completeTx(inner, token, '1');
        throw new Error('inner');
      });
      await expect(savepoint).rejects.toThrow('inner');
    });
    expect(await fixture.job(token.id)).toMatchObject({ status: 'processing', result: null });
  });

  it.each([null, 'null', '0', '"text"', '[1,{"a":null}]'])('stores the result %p', async (result) => {
    const token = await claimOne(fixture.store);
    await fixture.app.transaction((manager) => fixture.store.completeTx(manager, token, result));
    expect((await fixture.job(token.id)).result).toEqual(result === null ? null : JSON.parse(result));
  });

  it('frees the unique key for a job that the same transaction enqueues', async () => {
    const token = await claimOne(fixture.store, { uniqueKey: 'order-1' });
    const next = newJob({ uniqueKey: 'order-1' });
    await fixture.app.transaction(async (manager) => {
      await fixture.store.completeTx(manager, token, null);
      expect(await fixture.store.insert([next], manager)).toMatchObject([{ id: next.id, deduplicated: false }]);
    });
    expect(await fixture.job(next.id)).toMatchObject({ status: 'pending' });
  });

  it.each([
    ['completed', outcomes.completed('"first"')],
    ['failed', outcomes.failed()],
    ['cancelled', outcomes.cancelled()],
    ['waiting again', outcomes.release(60_000)],
  ])('rejects a job that is %s as a lost lease and changes nothing', async (_state, outcome) => {
    const token = await claimOne(fixture.store);
    await fixture.store.settle([settlement(token, outcome)]);
    const before = await fixture.job(token.id);
    const refused = fixture.app.transaction(async (manager) => {
      await manager.query(`INSERT INTO effect VALUES ('${token.id}')`);
      await fixture.store.completeTx(manager, token, '"late"');
    });
    await expect(refused).rejects.toMatchObject({ constructor: LeaseLostError, id: token.id, attempt: 1 });
    expect(await fixture.job(token.id)).toEqual(before);
    expect(await readEffects()).toEqual([]);
  });

  it('rejects an earlier attempt while a later one runs, which can complete', async () => {
    const stale = await claimOne(fixture.store);
    await fixture.expire(stale.id);
    await fixture.store.rescue(10);
    const [current] = await claim(fixture.store);
    const complete = (token: typeof stale): Promise<unknown> =>
      fixture.app.transaction((manager) => fixture.store.completeTx(manager, token, `"attempt ${token.attempt}"`));
    await expect(complete(stale)).rejects.toThrow(LeaseLostError);
    await complete(current!);
    expect(await fixture.job(stale.id)).toMatchObject({ status: 'completed', result: 'attempt 2' });
  });

  it('rejects a second completion in the same transaction', async () => {
    const token = await claimOne(fixture.store);
    await fixture.app.transaction(async (manager) => {
      await fixture.store.completeTx(manager, token, '"first"');
      await expect(fixture.store.completeTx(manager, token, '"second"')).rejects.toThrow(LeaseLostError);
    });
    expect(await fixture.job(token.id)).toMatchObject({ status: 'completed', result: 'first' });
  });

  it('rejects jobs that were never claimed and missing jobs', async () => {
    const id = await insertOne(fixture.store);
    await fixture.app.transaction(async (manager) => {
      for (const token of [
        { id, attempt: 0 },
        { id: uuidv7(), attempt: 1 },
      ]) {
        await expect(fixture.store.completeTx(manager, token, null)).rejects.toThrow(LeaseLostError);
      }
    });
    expect(await fixture.job(id)).toMatchObject({ status: 'pending', attempt: 0 });
  });

  it('rejects a job with a cancel request, which keeps its lease', async () => {
    const token = await claimOne(fixture.store);
    await fixture.store.cancel([token.id]);
    const before = await fixture.job(token.id);
    const refused = fixture.app.transaction((manager) => fixture.store.completeTx(manager, token, '1'));
    await expect(refused).rejects.toMatchObject({ constructor: JobStateError, id: token.id });
    expect(await fixture.job(token.id)).toEqual(before);
    expect(await fixture.store.settle([settlement(token, outcomes.completed())])).toMatchObject([
      { status: 'cancelled' },
    ]);
  });

  it('completes an attempt with an expired lease that was not rescued', async () => {
    const token = await claimOne(fixture.store);
    await fixture.expire(token.id);
    await fixture.app.transaction((manager) => fixture.store.completeTx(manager, token, null));
    expect(await fixture.job(token.id)).toMatchObject({ status: 'completed' });
  });

  it('rejects managers of other DataSources and managers without a transaction', async () => {
    const token = await claimOne(fixture.store);
    const other = await fixture.kind.createDatabase();
    const app = await other.app().initialize();
    const transaction = await fixture.begin(app);
    await expect(fixture.store.completeTx(transaction.manager, token, null)).rejects.toThrow(UnknownDataSourceError);
    await transaction.rollback();
    await app.destroy();
    await other.remove();
    await expect(fixture.store.completeTx(fixture.app.manager, token, null)).rejects.toThrow(InvalidOptionsError);
    await expect(fixture.store.completeTx(fixture.app, token, null)).rejects.toThrow('got the DataSource itself');
    expect(await fixture.job(token.id)).toMatchObject({ status: 'processing' });
  });
});

const transactional = storeKinds().filter(({ locksRows }) => locksRows);

describe.each(transactional)('two completions of one job on $label', (kind) => {
  const fixture = useStore(kind);

  it('succeed once: the second waits for the commit and is rejected', async () => {
    const token = await claimOne(fixture.store);
    const first = await fixture.begin();
    const second = await fixture.begin();
    await fixture.store.completeTx(first.manager, token, '"first"');
    const late = fixture.store.completeTx(second.manager, token, '"second"');
    const refused = late.catch((error: unknown) => error);
    await fixture.untilLockWait();
    await first.commit();
    expect(await refused).toBeInstanceOf(LeaseLostError);
    await second.rollback();
    expect(await fixture.job(token.id)).toMatchObject({ status: 'completed', result: 'first' });
  });
});

describe.each(storeKinds())('transaction on $label', (kind) => {
  const fixture = useStore(kind);

  it('is available only where a long transaction does not block other writers', () => {
    expect(fixture.store.capabilities.transactionsAtOnce > 0).toBe(kind.locksRows);
  });
});

describe.each(transactional)('transaction on $label, where it is available,', (kind) => {
  const fixture = useStore(kind);

  it('commits its writes and returns the value of the work', async () => {
    const token = await claimOne(fixture.store);
    const answer = await fixture.store.transaction(async (tx) => {
      await fixture.store.completeTx(tx, token, '1');
      return 'done';
    });
    expect(answer).toBe('done');
    expect(await fixture.job(token.id)).toMatchObject({ status: 'completed' });
  });

  it('rolls back when the work throws, and rejects with that error', async () => {
    const token = await claimOne(fixture.store);
    const work = fixture.store.transaction(async (tx) => {
      await fixture.store.completeTx(tx, token, '1');
      throw new Error('after all');
    });
    await expect(work).rejects.toThrow('after all');
    expect(await fixture.job(token.id)).toMatchObject({ status: 'processing' });
  });
});

describe.each(storeKinds().filter(({ locksRows }) => !locksRows))(
  'transaction on $label, where it is not available,',
  (kind) => {
    const fixture = useStore(kind);

    it('is rejected with an error that names the alternative', async () => {
      await expect(fixture.store.transaction(() => Promise.resolve())).rejects.toThrow(/transactional.*completeTx/s);
    });
  },
);
