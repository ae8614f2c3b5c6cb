/**
 * @never postgres-15, memory, typeorm-0.3
 * @slow
 */

import type { JobEvent, JobsOptions } from 'nestjs-jobs';
import { JobsEngine } from 'nestjs-jobs';
import { COMMIT_MARGIN_MS } from '../../../lib/engine/claim/scan-cost.js';
import { claimOne, insertOne, newJob } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { until } from '../../support/wait.js';
import type { WatchedStore } from '../../support/watched-store.js';
import { watch } from '../../support/watched-store.js';

const TOPIC = 'mail';
/** Scan times just above and below the limit of a fast scan. */
const COSTLY_MS = 6;
const CHEAP_MS = 4;
/** A rescue runs once a second; the time budget allows full scans below this cost every time. */
const COSTLY_RESCUE_MS = 150;
/** After scans of this cost the next full scan runs as late as allowed: after the poll interval or 10 s. */
const VERY_COSTLY_MS = 1e9;
/** A process that gets no turn for a while still starts a job within this time. It is less than the 10 s above. */
const SOON_MS = 8_000;
/** Longer than any test. */
const NEVER = '1h';
/** Jobs that are enqueued one by one while others are claimed. */
const SOME = 20;

/** An engine on the store of a test with a handler for one topic. Records its events. */
class Worker {
  readonly engine: JobsEngine;
  readonly events: JobEvent[] = [];

  constructor(
    readonly watched: WatchedStore,
    options: JobsOptions = {},
  ) {
    this.engine = new JobsEngine({ store: watched.store, pollInterval: 100, ...options });
    this.engine.events.subscribe((event) => this.events.push(event));
    this.engine.register(TOPIC, () => null);
  }

  isDone(id: string): boolean {
    return this.events.some((event) => event.type === 'completed' && event.id === id);
  }

  async untilDone(id: string): Promise<void> {
    await until(() => this.isDone(id), { message: `job ${id} to be completed` });
  }

  /** Runs jobs until claims are bounded. Returns the bound of the last claim. */
  async untilBounded(): Promise<string> {
    return until(async () => {
      await this.untilDone((await this.engine.enqueue(TOPIC, null)).id);
      return this.watched.claimBounds.at(-1)?.[0];
    }) as Promise<string>;
  }

  /** Runs jobs until the bound of claims is after this time. */
  async untilBehind(moment: Date): Promise<void> {
    await until(async () => Date.parse(await this.untilBounded()) > moment.getTime());
  }
}

describe.each(storeKinds())('the lower bound of claims on $label', (kind) => {
  const fixture = useStore(kind);
  let workers: Worker[] = [];

  const start = async (tookMs: number, options?: JobsOptions): Promise<Worker> => {
    const worker = new Worker(watch(fixture.store, tookMs), options);
    workers.push(worker);
    await worker.engine.start();
    return worker;
  };

  afterEach(async () => {
    await Promise.all(workers.map(({ engine }) => engine.close()));
    workers = [];
  });

  it('does not pass waiting jobs of a paused topic', async () => {
    const worker = await start(VERY_COSTLY_MS, { pollInterval: NEVER });
    worker.engine.register('other', () => null);
    await worker.untilBounded();
    await worker.engine.topics.pause(TOPIC);
    const waiting = [await worker.engine.enqueue(TOPIC, null)];
    const elapsedMs = (): number => performance.now() - sinceMs;
    const sinceMs = performance.now();
    while (elapsedMs() < 3 * COMMIT_MARGIN_MS) {
      const jobs = [TOPIC, 'other'].map((topic) => ({ topic, payload: null }));
      const [paused, other] = await worker.engine.enqueueMany(jobs);
      waiting.push(paused!);
      await worker.untilDone(other!.id);
    }
    expect(waiting.filter(({ id }) => worker.isDone(id))).toEqual([]);
    await worker.engine.topics.resume(TOPIC);
    await Promise.all(waiting.map(({ id }) => worker.untilDone(id)));
  });

  it('is not used while full scans are fast', async () => {
    const worker = await start(CHEAP_MS);
    for (let count = 0; count < SOME; count += 1) {
      await worker.untilDone((await worker.engine.enqueue(TOPIC, null)).id);
    }
    expect(worker.watched.claimBounds.flat().filter((bound) => bound !== null)).toEqual([]);
  });

  it('is used while full scans are slow', async () => {
    const worker = await start(COSTLY_MS);
    const first = await worker.untilBounded();
    await worker.untilBehind(new Date(Date.parse(first) + 1));
    worker.watched.tookMs = CHEAP_MS;
    await until(async () => {
      await worker.untilDone((await worker.engine.enqueue(TOPIC, null)).id);
      return worker.watched.claimBounds.at(-1)![0] === null;
    });
  });

  it('does not delay a due job beyond the poll interval, announced or not', async () => {
    const id = await insertOne(fixture.store, { topic: TOPIC, delayMs: 3_600_000 });
    const worker = await start(COSTLY_MS, { pollInterval: '1s' });
    await worker.untilBounded();
    // A minute before the bound of claims.
    await fixture.set(id, { run_at: { msFromNow: -60_000 } });
    const sinceMs = performance.now();
    await worker.untilDone(id);
    expect(performance.now() - sinceMs).toBeLessThan(SOON_MS);
    expect(worker.watched.claimBounds.at(-1)).not.toEqual([null]);
  });

  it('does not delay a job that this process stored with an earlier runAt', async () => {
    const worker = await start(VERY_COSTLY_MS, { pollInterval: NEVER });
    await worker.untilBounded();
    const runAt = new Date((await fixture.now()).getTime() - 60_000);
    const [early] = await worker.engine.enqueueMany([{ topic: TOPIC, payload: null, runAt }]);
    await worker.untilDone(early!.id);
    expect(await fixture.job(early!.id)).toMatchObject({ status: 'completed' });
  });

  it('does not hide a job from whenIdle', async () => {
    const id = await insertOne(fixture.store, { topic: TOPIC, delayMs: 3_600_000 });
    const worker = await start(VERY_COSTLY_MS, { pollInterval: NEVER });
    await worker.untilBounded();
    await fixture.set(id, { run_at: { msFromNow: -60_000 } });
    await worker.engine.whenIdle();
    expect(worker.isDone(id)).toBe(true);
  });

  it('does not delay jobs with a runAt', async () => {
    const worker = await start(COSTLY_MS, { pollInterval: '10s' });
    await worker.untilBounded();
    const { id } = await worker.engine.enqueue(TOPIC, null, { delay: 300 });
    await until(() => worker.events.some((event) => event.type === 'started' && event.id === id));
    const { started, runAt } = await fixture.job(id);
    expect(started!.getTime() - runAt.getTime()).toBeGreaterThanOrEqual(0);
    expect(started!.getTime() - runAt.getTime()).toBeLessThan(SOON_MS);
  });

  it('of rescues hides no lease that expires after it', async () => {
    const worker = await start(VERY_COSTLY_MS);
    await until(() => worker.watched.rescueBounds.at(-1) ?? null);
    const { id } = await claimOne(fixture.store, { topic: 'unhandled' });
    await fixture.set(id, { locked_until: { msFromNow: 50 } });
    const seen = worker.watched.rescueBounds.length;
    await until(async () => (await fixture.job(id)).status === 'pending');
    expect(await fixture.job(id)).toMatchObject({ retries: 1 });
    expect(worker.watched.rescueBounds.slice(seen)).not.toContain(null);
  });
});

describe.each(storeKinds().filter(({ locksRows }) => locksRows))(
  'the lower bound beside open transactions on $label',
  (kind) => {
    const fixture = useStore(kind);
    let worker: Worker;

    const start = async (tookMs: number, options: JobsOptions = {}): Promise<void> => {
      worker = new Worker(watch(fixture.store, tookMs), options);
      await worker.engine.start();
    };

    afterEach(() => worker.engine.close());

    it('does not delay a late commit beyond the poll interval, without notifications', async () => {
      await start(COSTLY_MS, { pollInterval: '1s' });
      await worker.untilBounded();
      const transaction = await fixture.begin();
      const [late] = await fixture.store.insert([newJob({ topic: TOPIC })], transaction.manager);
      await worker.untilBehind(late!.runAt);
      await transaction.commit();
      const sinceMs = performance.now();
      await worker.untilDone(late!.id);
      expect(performance.now() - sinceMs).toBeLessThan(SOON_MS);
    });

    it('does not delay a late commit of this process', async () => {
      await start(VERY_COSTLY_MS, { pollInterval: NEVER });
      await worker.untilBounded();
      const transaction = await fixture.begin();
      const late = await worker.engine.enqueueTx(transaction.manager, TOPIC, null);
      await worker.untilBehind(late.runAt);
      await transaction.commit();
      await worker.untilDone(late.id);
      expect(await fixture.job(late.id)).toMatchObject({ status: 'completed' });
    });

    it('does not delay for long a job that was locked during claims', async () => {
      await start(COSTLY_MS);
      await worker.untilBounded();
      const id = await insertOne(fixture.store, { topic: TOPIC, delayMs: 3_600_000 });
      const transaction = await fixture.begin();
      await transaction.manager.query('SELECT 1 FROM _jobs WHERE id = $1 FOR UPDATE', [id]);
      const { runAt } = await worker.engine.enqueue(TOPIC, null);
      await transaction.manager.query('UPDATE _jobs SET run_at = $2 WHERE id = $1', [id, runAt]);
      await worker.untilBehind(runAt);
      await transaction.commit();
      await worker.untilDone(id);
      expect(await fixture.job(id)).toMatchObject({ status: 'completed' });
    });

    it('of rescues does not delay for long a job that was locked when its lease expired', async () => {
      await start(COSTLY_RESCUE_MS);
      const { id } = await claimOne(fixture.store, { topic: 'unhandled' });
      await fixture.set(id, { locked_until: { msFromNow: 300 } });
      const transaction = await fixture.begin();
      await transaction.manager.query('SELECT 1 FROM _jobs WHERE id = $1 FOR UPDATE', [id]);
      const { lockedUntil } = await fixture.job(id);
      await until(() => Date.parse(worker.watched.rescueBounds.at(-1) ?? '') > lockedUntil!.getTime());
      expect(await fixture.job(id)).toMatchObject({ status: 'processing' });
      await transaction.rollback();
      await until(async () => (await fixture.job(id)).status === 'pending');
      expect(await fixture.job(id)).toMatchObject({ retries: 1 });
    });
  },
);
