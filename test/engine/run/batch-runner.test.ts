import type { Claim } from '../../../lib/core/job.js';
import { readHandlerOptions } from '../../../lib/core/job-options.js';
import { silentLogger } from '../../../lib/core/logger.js';
import { Prefetch } from '../../../lib/engine/run/prefetch.js';
import type { RegisteredHandler } from '../../../lib/engine/runtime/handler-registry.js';
import type { AttemptParts } from '../../../lib/engine/run/attempt.js';
import { Attempt } from '../../../lib/engine/run/attempt.js';
import { BatchRunner } from '../../../lib/engine/run/batch-runner.js';
import { Executor } from '../../../lib/engine/run/executor.js';
import { RunningSet } from '../../../lib/engine/run/running-set.js';
import type { StartMarker } from '../../../lib/engine/run/start-marker.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';

describe('the runner of batch handlers', () => {
  let clock: VirtualClock;
  let runner: BatchRunner;
  /** The ids of each call. */
  let calls: string[][];
  let stale: string[];
  let handler: RegisteredHandler;
  let endCalls: (() => void)[];

  beforeEach(() => {
    clock = new VirtualClock();
    calls = [];
    stale = [];
    endCalls = [];
    handler = {
      topic: 'work',
      run: (jobs: unknown) => {
        calls.push((jobs as { id: string }[]).map(({ id }) => id));
        return new Promise<void>((resolve) => endCalls.push(resolve));
      },
      settings: readHandlerOptions('work', { batch: { size: 3, wait: 200 }, concurrency: 2 }),
      schema: undefined,
      concurrencyKey: undefined,
      source: 'register()',
    };
    const prefetch = new Prefetch(10);
    const slots = new RunningSet();
    const executor = new Executor({
      clock,
      logger: silentLogger,
      random: () => 0,
      timeoutMs: 60_000,
      backoff: { type: 'fixed', delayMs: 1, maxDelayMs: 1, jitter: 0 },
      hook: {},
      onHandlerReturned: () => undefined,
      onAttemptEnded: () => undefined,
    });
    const startMarker = { mark: () => Promise.resolve(true) } as unknown as StartMarker;
    const startAll = (): void => {
      while (runner.startNext(clock.now(), undefined));
    };
    runner = new BatchRunner({
      ...{ clock, concurrency: 10, prefetch, executor, startMarker, postponeMs: 100 },
      onReady: startAll,
      releaseIfBlocked: () => false,
      leaveSlot: () => undefined,
      takeSlot: (attempt) => slots.add(attempt),
      onStart: () => undefined,
      onReturned: (attempts) => {
        attempts.forEach((attempt) => slots.remove(attempt));
        startAll();
      },
      onStale: (attempts) => stale.push(...attempts.map(({ id }) => id)),
    });
  });

  async function push(...claims: Partial<Claim>[]): Promise<void> {
    for (const claim of claims) {
      const parts = { clock, logger: silentLogger } as unknown as AttemptParts;
      const full = { attempt: 1, topic: 'work', retries: 0, maxRetries: 3, ...claim } as Claim;
      runner.push(new Attempt(full, parts, clock.now(), Infinity), handler);
    }
    await clock.advance(0);
  }

  const fresh = (...ids: string[]): Partial<Claim>[] => ids.map((id) => ({ id }));
  const retried = (...ids: string[]): Partial<Claim>[] => ids.map((id) => ({ id, retries: 1 }));

  async function endCall(): Promise<void> {
    endCalls.shift()!();
    await clock.advance(0);
  }

  it('calls the handler with a full batch at once, and with the rest after the wait', async () => {
    await push(...fresh('a', 'b', 'c', 'd'));
    expect(calls).toEqual([['a', 'b', 'c']]);
    await clock.advance(199);
    expect(calls).toHaveLength(1);
    await clock.advance(1);
    expect(calls).toEqual([['a', 'b', 'c'], ['d']]);
  });

  it('runs each job alone, and without a wait, whose earlier attempt failed', async () => {
    await push(...retried('a', 'b'), ...fresh('c'));
    expect(calls).toEqual([['a'], ['b']]);
    await endCall();
    await clock.advance(200);
    expect(calls).toEqual([['a'], ['b'], ['c']]);
  });

  it('runs at most `concurrency` calls at once', async () => {
    await push(...fresh('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i'));
    expect(calls).toHaveLength(2);
    await endCall();
    expect(calls[2]).toEqual(['g', 'h', 'i']);
  });

  it('counts the slots of its calls once, and all their jobs', async () => {
    await push(...fresh('a', 'b', 'c', 'd'));
    expect(runner).toMatchObject({ sharedSlots: 2, jobCount: 4 });
    await endCall();
    expect(runner).toMatchObject({ sharedSlots: 0, jobCount: 1 });
  });

  it('lets as many jobs be claimed as the free calls take', async () => {
    expect(runner.countClaimable(handler, 10, 0)).toBe(6);
    expect(runner.countClaimable(handler, 1, 0)).toBe(3);
    expect(runner.countClaimable(handler, 0, 0)).toBe(0);
    expect(runner.countClaimable(handler, 10, 1)).toBe(9);
    await push(...fresh('a', 'b', 'c', 'd'));
    expect(runner.countClaimable(handler, 9, 0)).toBe(2);
  });

  it('lets one job be claimed for each free call while claims return jobs that run alone', async () => {
    await push(...retried('a'));
    expect(runner.countClaimable(handler, 9, 0)).toBe(1);
    await push(...retried('b', 'c'));
    expect(runner.countClaimable(handler, 8, 0)).toBe(-1);
    await endCall();
    await endCall();
    await endCall();
    await push(...fresh('d'));
    expect(runner.countClaimable(handler, 10, 0)).toBe(5);
  });

  it('returns jobs that have waited for a call for half a second after the wait', async () => {
    await push(...fresh('a', 'b', 'c', 'd', 'e', 'f', 'g'), ...retried('h'));
    await clock.advance(550);
    expect(stale).toEqual(['h']);
    await clock.advance(200);
    expect(stale).toEqual(['h', 'g']);
    expect(runner.waiting).toEqual([]);
  });
});
