import type { JobsEngineOptions } from 'nestjs-jobs';
import { JobsEngine, JobStateError } from 'nestjs-jobs';
import type { ClaimToken } from '../../../lib/core/job.js';
import { HandlerRegistry } from '../../../lib/engine/runtime/handler-registry.js';
import { Pruner } from '../../../lib/engine/maintain/pruner.js';
import { overrideStore } from '../../support/override-store.js';
import {
  claim,
  claimMany,
  insertMany,
  insertOne,
  outcomes,
  rescue,
  settlement,
  TOPIC,
} from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { until } from '../../support/wait.js';
import { RecordingLogger } from '../../support/unit/recording-logger.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';
import { logParts } from '../../support/unit/log-parts.js';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

describe.each(storeKinds())('rows that a foreign key of the application references, on $label', (kind) => {
  const fixture = useStore(kind);
  let opened: JobsEngine | undefined;
  const open = (options: Omit<JobsEngineOptions, 'store'> = {}): JobsEngine => {
    opened = new JobsEngine({ store: fixture.store, ...options });
    return opened;
  };

  beforeAll(async () => {
    const type = kind.locksRows ? 'uuid' : 'text';
    await fixture.sql(`CREATE TABLE receipts (job_id ${type} NOT NULL REFERENCES _jobs (id))`);
    await fixture.sql(`CREATE TABLE invoices (job_id ${type} NOT NULL REFERENCES _jobs (id))`);
  });
  afterEach(async () => {
    await opened?.close();
    await fixture.sql('DELETE FROM receipts');
    await fixture.sql('DELETE FROM invoices');
  });

  const refer = async (ids: readonly string[], table = 'receipts'): Promise<void> => {
    for (const id of ids) {
      await fixture.sql(`INSERT INTO ${table} VALUES ('${id}')`);
    }
  };

  const remaining = async (): Promise<string[]> =>
    (await fixture.sql<{ id: string }>('SELECT id FROM _jobs ORDER BY id')).map(({ id }) => id);

  /** Creates completed jobs beyond their retention. */
  const old = async (count: number): Promise<string[]> => {
    const claims = await claimMany(fixture.store, count);
    await fixture.store.settle(claims.map((token) => settlement(token, outcomes.completed())));
    const ids = claims.map(({ id }) => id).sort();
    await fixture.set(ids, { created: { msFromNow: -9 * DAY }, finished: { msFromNow: -8 * DAY } });
    return ids;
  };

  it('are kept when their jobs end with a retention of zero, and no job runs twice', async () => {
    const ids = await insertMany(fixture.store, 20);
    const held = [ids[3]!, ids[11]!];
    await refer(held);
    const runs = new Map<string, number>();
    const logger = new RecordingLogger();
    const engine = open({ retention: { completed: 0 }, concurrency: 5, logger });
    engine.register(TOPIC, (job) => void runs.set(job.id, (runs.get(job.id) ?? 0) + 1));
    await engine.start();
    await until(async () => (await remaining()).length === held.length);
    await engine.whenIdle();
    expect(await remaining()).toEqual(held);
    expect([...runs.values()]).toEqual(ids.map(() => 1));
    for (const id of held) {
      expect(await fixture.job(id)).toMatchObject({ status: 'completed', attempt: 1, retries: 0 });
    }
    expect(logger.of('error')).toEqual([]);
  });

  it('are skipped by a prune, which logs a warning and tries again after an hour', async () => {
    const ids = await old(40);
    const held = [ids[0]!, ids[17]!, ids[18]!, ids[39]!];
    await refer(held.slice(0, 2));
    await refer(held.slice(2), 'invoices');
    const clock = new VirtualClock();
    const logger = new RecordingLogger();
    let [calls, refusals] = [0, 0];
    const store = overrideStore(fixture.store, {
      prune: (...given) => {
        calls += 1;
        return fixture.store.prune(...given).catch((error: unknown) => {
          refusals += 1;
          throw error;
        });
      },
    });
    const retention = { completed: 7 * DAY, failed: false, cancelled: false } as const;
    const registry = new HandlerRegistry({ topics: undefined, canRunTransactions: false });
    const declarer = { isPending: false, write: () => Promise.resolve() };
    const pruner = new Pruner({
      store,
      ...logParts(clock, logger),
      random: () => 0.5,
      retention,
      registry,
      declarer,
    });
    const untilAfter = (ms: number, condition: () => boolean | Promise<boolean>): Promise<unknown> =>
      until(async () => {
        await clock.advance(ms);
        return condition();
      });
    pruner.start();
    await untilAfter(5_000, async () => (await remaining()).length === held.length);
    expect(await remaining()).toEqual(held);
    // The last row may be found after that; then further passes try no deletion.
    let known: number;
    do {
      known = refusals;
      const before = calls;
      await untilAfter(60_000, () => calls >= before + 3);
    } while (refusals !== known);
    expect(logger.of('warn')).toEqual([
      expect.stringMatching(/^the database refuses to delete finished jobs.*foreign key/i),
    ]);
    await fixture.sql(`DELETE FROM receipts`);
    await untilAfter(HOUR, async () => (await remaining()).length === 2);
    expect(await remaining()).toEqual(held.slice(2));
    await pruner.stop();
  });

  it('are skipped by a prune of all jobs at once, which counts them', async () => {
    const ids = await old(300);
    await refer([ids[5]!, ids[211]!]);
    const engine = open({ role: 'producer', retention: { completed: '7d' } });
    expect(await engine.prune()).toEqual({ removed: 298, refused: 2 });
    expect(await remaining()).toEqual([ids[5], ids[211]]);
    expect(await engine.prune()).toEqual({ removed: 0, refused: 2 });
  });

  it('are kept by a delete, which rejects with the reason', async () => {
    const ids = await old(5);
    const held = [ids[1]!, ids[4]!];
    await refer(held);
    const logger = new RecordingLogger();
    const engine = open({ logger });
    const refused = await engine.jobs.delete(held[0]!).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(JobStateError);
    expect(refused).toMatchObject({ id: held[0], message: `job ${held[0]}: cannot delete: the database refuses it` });
    expect((refused as Error).cause).toMatchObject({ message: expect.stringMatching(/foreign key/i) as string });
    expect(await engine.bulk.run({ action: 'delete', ids })).toMatchObject({
      matched: 5,
      changed: 3,
      skipped: 2,
      more: false,
      skippedReasons: [{ reason: 'the database refuses it', count: 2, ids: held }],
    });
    const alone = { matched: 1, changed: 0, skipped: 1, more: false };
    expect(await engine.bulk.run({ action: 'delete', ids: held.slice(0, 1) })).toMatchObject(alone);
    expect(await remaining()).toEqual(held);
    expect(logger.of('warn').slice(0, 2)).toEqual([
      expect.stringMatching(new RegExp(`^the database refuses to delete job ${held[0]}: .*foreign key`, 'i')),
      expect.stringMatching(
        new RegExp(`^the database refuses to delete job ${held[0]} and 1 more: .*foreign key`, 'i'),
      ),
    ]);
  });
});

describe.each(storeKinds().filter(({ locksRows }) => locksRows))(
  'jobs that an open transaction references, on $label',
  (kind) => {
    const fixture = useStore(kind);

    beforeAll(() =>
      fixture.sql('CREATE TABLE receipts (job_id uuid NOT NULL REFERENCES _jobs (id) ON DELETE CASCADE)'),
    );

    /** Inserts a reference; the transaction locks the row's key until it ends. */
    const refer = async (id: string): Promise<void> => {
      const { manager } = await fixture.begin();
      await manager.query('INSERT INTO receipts VALUES ($1)', [id]);
    };

    it('can be claimed, renewed, rescued, updated with progress and ended', async () => {
      const { store } = fixture;
      const id = await insertOne(store);
      await refer(id);
      const [first] = await claim(store);
      expect(await store.renew([first!], 30_000)).toMatchObject([{ state: 'held', cancelRequested: false }]);
      expect(await store.recordProgress([{ token: first!, progress: '1' }])).toMatchObject([{ state: 'held' }]);
      await fixture.expire(id);
      expect(await rescue(store, 10)).toMatchObject([{ id, status: 'pending' }]);
      const [second] = await claim(store);
      expect(await store.settle([settlement(second!, outcomes.failed())])).toMatchObject([
        { applied: true, status: 'failed' },
      ]);
      expect(await store.requeue([id])).toMatchObject([{ changed: true, status: 'pending' }]);
      expect(await store.requeue([id, ...(await insertMany(store, 1))])).toMatchObject([{ reason: null }, {}]);
      const [third] = await claim(store);
      expect(await store.cancel([id])).toMatchObject([{ changed: true, status: 'processing' }]);
      expect(await store.settle([settlement(third!, outcomes.completed())])).toMatchObject([{ status: 'cancelled' }]);
    });

    it('can be completed singly, in a batch and in a transaction', async () => {
      const claims = await claimMany(fixture.store, 4);
      for (const { id } of claims) {
        await refer(id);
      }
      const complete = (tokens: readonly ClaimToken[]): Promise<unknown> =>
        fixture.store.settle(tokens.map((token) => settlement(token, outcomes.completed())));
      expect(await complete(claims.slice(0, 1))).toMatchObject([{ applied: true, status: 'completed' }]);
      expect(await complete(claims.slice(1, 3))).toMatchObject(Array(2).fill({ applied: true, status: 'completed' }));
      await fixture.app.transaction((manager) => fixture.store.completeTx(manager, claims[3]!, null));
      expect((await fixture.job(claims[3]!.id)).status).toBe('completed');
    });

    it('do not delay outcomes of other jobs when they are to be deleted', async () => {
      const claims = await claimMany(fixture.store, 3);
      await refer(claims[1]!.id);
      const settled = fixture.store.settle(
        claims.map((token) => settlement(token, outcomes.failed())),
        ['failed'],
      );
      expect(await settled).toMatchObject(claims.map(() => ({ applied: true, status: 'failed' })));
      expect(await fixture.sql('SELECT id FROM _jobs')).toEqual([{ id: claims[1]!.id }]);
    });
  },
);
