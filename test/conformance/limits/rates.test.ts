import type { JobEvent, JobHandlerFunction, JobsEngineOptions, JobsLogger } from 'nestjs-jobs';
import { JobsEngine, MissingKeyError } from 'nestjs-jobs';
import type { ClaimRequest, ClaimResult } from '../../../lib/store/jobs/job-records.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { until } from '../../support/wait.js';

const kinds = storeKinds().filter(({ canHaveTwoConnections }) => canHaveTwoConnections);
const PER_MS = 1_000;
const LIMIT = 4;
const rate = { limit: LIMIT, per: PER_MS };

/** The most starts in a window of `perMs`. */
function mostWithin(startsMs: readonly number[], perMs: number): number {
  const sorted = [...startsMs].sort((a, b) => a - b);
  return Math.max(...sorted.map((sinceMs) => sorted.filter((ms) => ms >= sinceMs && ms < sinceMs + perMs).length));
}

describe.each(kinds)('handlers of a topic with a rate on $label', (kind) => {
  const fixture = useStore(kind);
  let engine: JobsEngine;
  /** When handlers were called. */
  let startsMs: number[] = [];
  let events: JobEvent[] = [];
  let warnings: string[] = [];

  const record = (): void => void startsMs.push(performance.now());
  const ignore = (): void => undefined;
  const warn: JobsLogger['warn'] = (text) => void (typeof text === 'string' && warnings.push(text));
  const logger: JobsLogger = { debug: ignore, log: ignore, error: ignore, warn };

  function create(options: Partial<JobsEngineOptions> = {}): JobsEngine {
    engine = new JobsEngine({ store: fixture.store, concurrency: 10, pollInterval: 200, logger, ...options });
    engine.events.subscribe((event) => events.push(event));
    return engine;
  }

  async function enqueue(count: number, members = {}): Promise<void> {
    await engine.enqueueMany(Array.from({ length: count }, () => ({ topic: 'mail', payload: {}, ...members })));
  }

  /** Keeps the results of claims back. @param delayMs of the nth claim that returns jobs. */
  function delayClaims(delayMs: (n: number) => number): jest.SpyInstance {
    const { store } = fixture;
    const claim = store.claim.bind(store);
    let count = 0;
    return jest.spyOn(store, 'claim').mockImplementation(async (request: ClaimRequest) => {
      const sentMs = performance.now();
      const result: ClaimResult = await claim(request);
      if (result.claims.length > 0) {
        const untilMs = sentMs + delayMs(count);
        count += 1;
        await until(() => performance.now() >= untilMs);
      }
      return result;
    });
  }

  const runAll = (count: number): Promise<boolean> =>
    until(() => startsMs.length >= count, { message: () => `${startsMs.length} of ${count} starts` });

  beforeEach(() => {
    startsMs = [];
    events = [];
    warnings = [];
  });

  afterEach(async () => {
    jest.restoreAllMocks();
    await engine.close();
    for (const table of ['_jobs', '_jobs_topics', '_jobs_starts']) {
      await fixture.sql(`DELETE FROM ${table}`);
    }
  });

  it('start no more often in any window when the result of a claim comes late', async () => {
    delayClaims((n) => (n === 0 ? 600 : 0));
    create().register('mail', record, { limits: { rate } });
    await enqueue(3 * LIMIT);
    await engine.start();
    await runAll(3 * LIMIT);
    expect(mostWithin(startsMs, PER_MS)).toBeLessThanOrEqual(LIMIT);
    await engine.whenIdle();
    expect((await engine.stats.get()).completed).toBe(3 * LIMIT);
  });

  it('start, within their rate, when each claim takes longer than the hand-over; one warning says so', async () => {
    delayClaims(() => 250);
    create().register('mail', record, { limits: { rate } });
    await enqueue(2 * LIMIT);
    await engine.start();
    await runAll(2 * LIMIT);
    await engine.whenIdle();
    expect(mostWithin(startsMs, PER_MS)).toBeLessThanOrEqual(LIMIT);
    const released = events.filter(({ type }) => type === 'released');
    // Twice a window with 100 and 200 ms at most; then the hand-over is long enough.
    expect(released.length).toBeGreaterThan(0);
    expect(released.length).toBeLessThanOrEqual(4 * LIMIT);
    expect(warnings.filter((text) => text.includes("a job of 'mail' could not start within 100ms"))).toHaveLength(1);
    expect(await fixture.sql('SELECT id FROM _jobs WHERE retries > 0')).toEqual([]);
  });

  it('start when their batch waits for longer than the hand-over', async () => {
    const limits = { rate: { limit: 3, per: PER_MS } };
    create().register('mail', (jobs) => jobs.forEach(record), { batch: { size: 100, wait: 1_000 }, limits });
    await enqueue(3);
    await engine.start();
    await runAll(3);
    await engine.whenIdle();
    // Four claims would come too late if the wait did not count. On a busy machine one may.
    expect(events.filter(({ type }) => type === 'released').length).toBeLessThanOrEqual(3);
  });

  it('are not called for a batch in which one job is too late', async () => {
    delayClaims((n) => (n === 0 ? 400 : 0));
    const limits = { rate };
    create().register('mail', (jobs) => jobs.forEach(record), { batch: { size: 10 }, limits });
    await enqueue(2 * LIMIT);
    await engine.start();
    await runAll(2 * LIMIT);
    expect(mostWithin(startsMs, PER_MS)).toBeLessThanOrEqual(LIMIT);
  });

  it('leave the starts of released jobs to others, when a process lacks the key of their payloads', async () => {
    const codec = {
      encode: (payload: unknown) => payload,
      decode: () => Promise.reject(new MissingKeyError('no key')),
    };
    create({ codec }).register('mail', record, { limits: { rate: { limit: 3, per: '1h' } } });
    await enqueue(3);
    await engine.start();
    await until(() => events.filter(({ type }) => type === 'released').length >= 3, { message: 'three releases' });
    await engine.stop();
    expect(startsMs).toEqual([]);
    const counts = await fixture.sql<{ starts: unknown }>('SELECT starts FROM _jobs_starts');
    expect(counts.reduce((sum, { starts }) => sum + Number(starts), 0)).toBe(0);
  });

  it('leave the starts of jobs to others that were claimed and not called before a stop', async () => {
    create().register('mail', record, { limits: { rate: { limit: 3, per: '1h' } } });
    await enqueue(3);
    const { store } = fixture;
    const claim = store.claim.bind(store);
    let hasStopped = false;
    jest.spyOn(store, 'claim').mockImplementation(async (request) => {
      const result = await claim(request);
      engine.stopClaiming();
      hasStopped = true;
      return result;
    });
    await engine.start();
    await until(() => hasStopped);
    await engine.stop();
    const counts = await fixture.sql<{ starts: unknown }>('SELECT starts FROM _jobs_starts');
    expect(startsMs).toEqual([]);
    expect(counts.map(({ starts }) => Number(starts))).toEqual([0]);
  });

  it('keep the time of the call in their rows, whenever the outcome is written', async () => {
    const settle = fixture.store.settle.bind(fixture.store);
    let calls = 0;
    jest.spyOn(fixture.store, 'settle').mockImplementation(async (...args) => {
      calls += 1;
      const untilMs = performance.now() + (calls === 1 ? 800 : 0);
      await until(() => performance.now() >= untilMs);
      return settle(...args);
    });
    create().register('mail', record, { limits: { rate } });
    await enqueue(2 * LIMIT);
    await engine.start();
    await runAll(2 * LIMIT);
    await engine.whenIdle();
    const ids = await fixture.sql<{ id: string }>('SELECT id FROM _jobs');
    const rows = await fixture.store.find(ids.map(({ id }) => id));
    const startedMs = rows.map(({ started }) => started!.getTime()).sort((a, b) => a - b);
    expect(mostWithin(startedMs, PER_MS)).toBeLessThanOrEqual(LIMIT);
    const measured = startsMs.sort((a, b) => a - b);
    // By two clocks, whose distance is that of the first start; within the hand-over.
    startedMs.forEach((ms, index) => {
      expect(Math.abs(ms - startedMs[0]! - (measured[index]! - measured[0]!))).toBeLessThanOrEqual(250);
    });
  });

  it('start evenly over the window with `spread`', async () => {
    const { store } = fixture;
    const claim = store.claim.bind(store);
    const claimMsById = new Map<string, number>();
    jest.spyOn(store, 'claim').mockImplementation(async (request) => {
      const result = await claim(request);
      result.claims.forEach(({ id }) => claimMsById.set(id, result.start!.atMs));
      return result;
    });
    // A claim whose result came too late calls no handler and counts no start: the next one need not keep its distance from it.
    const claimedMs: number[] = [];
    const recordClaim: JobHandlerFunction = ({ id }) => {
      record();
      claimedMs.push(claimMsById.get(id)!);
    };
    create().register('mail', recordClaim, { limits: { rate: { limit: 5, per: '1s', spread: true } } });
    await enqueue(8);
    await engine.start();
    await runAll(8);
    await engine.whenIdle();
    expect(mostWithin(startsMs, PER_MS)).toBeLessThanOrEqual(5);
    expect(mostWithin(claimedMs, PER_MS / 5 - 1)).toBe(1);
  });
});
