/** @npm-test typeorm-0.3, typeorm-0.3-postgres */

import { randomUUID } from 'node:crypto';
import { JobsEngine, QueueUnavailableError } from 'nestjs-jobs';
import type { Clock, ScheduledWake } from '../../../lib/core/clock.js';
import { readListFilter } from '../../../lib/core/list-filter.js';
import { systemClock } from '../../../lib/store/runtime/system-clock.js';
import type { ClaimRequest, ClaimResult, LaneScan } from '../../../lib/store/jobs/job-records.js';
import type { JobStore } from '../../../lib/store/job-store.js';
import type { StoreHints } from '../../../lib/store/runtime/store-hints.js';
import { overrideReports, overrideStore } from '../../support/override-store.js';
import { TOPIC } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { signal, until } from '../../support/wait.js';

/** A clock, and its timers that have not fired. */
function createCountingClock(): { clock: Clock; waiting: ReadonlySet<ScheduledWake> } {
  const waiting = new Set<ScheduledWake>();
  const schedule: Clock['schedule'] = (ms, wake) => {
    const timer = systemClock.schedule(ms, () => {
      waiting.delete(scheduled);
      wake();
    });
    const scheduled: ScheduledWake = {
      cancel() {
        waiting.delete(scheduled);
        timer.cancel();
      },
    };
    waiting.add(scheduled);
    return scheduled;
  };
  return { clock: { now: () => systemClock.now(), schedule }, waiting };
}

/** Short jobs, of which many are claimed ahead. */
const JOBS = 300;

describe.each(storeKinds())('a closed engine on $label', (kind) => {
  const fixture = useStore(kind);
  let engine: JobsEngine;
  afterEach(() => engine.close());

  it('leaves no timer that keeps the process alive', async () => {
    const { clock, waiting } = createCountingClock();
    engine = new JobsEngine({ store: fixture.store, clock, concurrency: 10 });
    engine.register(TOPIC, () => undefined);
    await engine.enqueueMany(Array.from({ length: JOBS }, () => ({ topic: TOPIC, payload: null })));
    await engine.start();
    await engine.whenIdle();
    expect(waiting.size).toBeGreaterThan(0);
    await engine.close();
    expect(waiting.size).toBe(0);
  });

  it('leaves no timer when other processes start or stop at the same time', async () => {
    const { clock, waiting } = createCountingClock();
    let hints: StoreHints | undefined;
    const listen: JobStore['listen'] = (given) => fixture.store.listen((hints = given));
    const forgetWorker: JobStore['reports']['forgetWorker'] = async (worker) => {
      await fixture.store.reports.forgetWorker(worker);
      hints?.onWorkers();
    };
    const reports = overrideReports(fixture.store.reports, { forgetWorker });
    engine = new JobsEngine({ store: overrideStore(fixture.store, { listen, reports }), clock });
    engine.register(TOPIC, () => undefined);
    await engine.start();
    await engine.close();
    expect(waiting.size).toBe(0);
  });

  it('has stored all jobs of pending enqueue and enqueueMany calls', async () => {
    engine = new JobsEngine({ store: fixture.store });
    const stored = [engine.enqueue(TOPIC, 1), engine.enqueueMany([1, 2].map((payload) => ({ topic: TOPIC, payload })))];
    await engine.close();
    const { items } = await fixture.store.reports.list(readListFilter());
    expect(items).toHaveLength(3);
    await Promise.all(stored);
  });

  it('claims again when it starts after stopClaiming', async () => {
    engine = new JobsEngine({ store: fixture.store });
    engine.register(TOPIC, () => 'done');
    await engine.start();
    engine.stopClaiming();
    const { id } = await engine.enqueue(TOPIC, null);
    await engine.start();
    await engine.whenIdle();
    expect(await engine.jobs.get(id)).toMatchObject({ status: 'completed' });
  });

  it('does not wait long for a change feed whose query hangs', async () => {
    const looks = jest.fn(() => new Promise<never>(() => undefined));
    const reports = new Proxy(fixture.store.reports, { get: () => looks });
    const clock: Clock = { ...systemClock, schedule: (ms, wake) => systemClock.schedule(ms / 20, wake) };
    engine = new JobsEngine({ store: overrideStore(fixture.store, { reports }), clock });
    engine.changes.watch({ topics: null, changed: () => undefined, stats: () => undefined });
    await until(() => looks.mock.calls.length > 0);
    const sinceMs = performance.now();
    await engine.close();
    expect(performance.now() - sinceMs).toBeLessThan(5_000);
  });

  it('is not idle when it claims again before the last scan has returned', async () => {
    const [scanned, claimed] = [signal(), signal()];
    const scan = async (...given: Parameters<JobStore['scan']>): Promise<LaneScan> => {
      const seen = await fixture.store.scan(...given);
      await scanned.promise;
      return seen;
    };
    const claim = async (request: ClaimRequest): Promise<ClaimResult> => {
      const result = await fixture.store.claim(request);
      if (result.claims.length > 0) await claimed.promise;
      return result;
    };
    engine = new JobsEngine({ store: overrideStore(fixture.store, { scan, claim }) });
    engine.register(TOPIC, () => 'done');
    await engine.start();
    // The last scan ran before there was a job.
    await new Promise((resolve) => setImmediate(resolve));
    engine.stopClaiming();
    const { id } = await engine.enqueue(TOPIC, null);
    await engine.start();
    let isIdle = false;
    const idle = engine.whenIdle().then(() => (isIdle = true));
    scanned.resolve();
    await until(async () => (await engine.jobs.get(id))?.status === 'processing');
    expect(isIdle).toBe(false);
    claimed.resolve();
    await idle;
    expect(await engine.jobs.get(id)).toMatchObject({ status: 'completed' });
  });

  if (kind.canHaveTwoConnections) {
    it('rejects calls with an error that names the close', async () => {
      engine = new JobsEngine({ store: fixture.store });
      await engine.enqueue(TOPIC, null);
      await engine.close();
      await fixture.store.close();
      const given = await Promise.allSettled([
        engine.enqueue(TOPIC, null),
        engine.enqueueMany([{ topic: TOPIC, payload: null }]),
        engine.jobs.get(randomUUID()),
        engine.jobs.list(),
        engine.stats.get(),
        engine.jobs.cancel(randomUUID()),
      ]);
      const message = 'the queue is closed: its application has ended, or is about to';
      for (const answer of given) {
        expect(answer).toMatchObject({ reason: { code: 'QUEUE_UNAVAILABLE', isUncertain: false, message } });
      }
    });
  }
});

describe.each(storeKinds())('an engine that closes during an outage of the database on $label', (kind) => {
  const fixture = useStore(kind);

  it('logs the number of outcomes that were not confirmed', async () => {
    const lines: string[] = [];
    const write = (line: string): void => void lines.push(line);
    const logger = { debug: () => undefined, log: write, warn: write, error: write };
    const settle = jest.fn(() => Promise.reject(new QueueUnavailableError('away')));
    const engine = new JobsEngine({ store: overrideStore(fixture.store, { settle }), logger, shutdownTimeout: 1 });
    engine.register(TOPIC, () => undefined);
    await engine.enqueueMany([1, 2].map((payload) => ({ topic: TOPIC, payload })));
    await engine.start();
    await until(() => settle.mock.calls.length > 1);
    await engine.close();
    expect(lines.filter((line) => line.startsWith('2 outcomes were not confirmed'))).toHaveLength(1);
  });
});
