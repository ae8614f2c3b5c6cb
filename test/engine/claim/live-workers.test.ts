import fc from 'fast-check';
import { hashWorker, LiveWorkers } from '../../../lib/engine/runtime/live-workers.js';
import { HandlerRegistry } from '../../../lib/engine/runtime/handler-registry.js';
import type { OneWorkerHint } from '../../../lib/store/runtime/store-hints.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';

interface Setting {
  readonly topics?: readonly string[];
  readonly pollIntervalMs?: number;
  /** Dead processes, and those that receive no notifications, do not compute anything. */
  readonly isDead?: boolean;
}

/** The processes of a list, each with its own view of it. */
function start(settings: readonly Setting[], clock = new VirtualClock()): LiveWorkers[] {
  const listed = settings.map(({ topics = ['mail'], pollIntervalMs = 1_000 }, index) => ({
    ...{ worker: `host:${index}:abc`, topics, pollIntervalMs },
  }));
  return settings.flatMap(({ isDead }, index) => {
    const { worker, topics, pollIntervalMs } = listed[index]!;
    const registry = new HandlerRegistry({ topics: undefined, canRunTransactions: false });
    topics.forEach((topic) => registry.register(topic, () => undefined));
    const workers = new LiveWorkers({ clock, worker, registry, pollIntervalMs });
    const others = listed.filter((other) => other.worker !== worker);
    workers.record({ now: new Date(1_700_000_000_123), others });
    return isDead ? [] : [workers];
  });
}

/** All polls of these processes in the first minute, in order. */
function polls(workers: readonly LiveWorkers[], forMs = 60_000): number[] {
  return workers
    .flatMap((worker) => {
      const times: number[] = [];
      for (let atMs = worker.nextPollMs(0)!; atMs < forMs; atMs = worker.nextPollMs(atMs)!) times.push(atMs);
      return times;
    })
    .sort((a, b) => a - b);
}

function longestGapMs(times: readonly number[]): number {
  return Math.max(...times.slice(1).map((atMs, index) => atMs - times[index]!));
}

const ids = fc.uuid().map((id): OneWorkerHint => ({ id, sender: undefined }));
const counts = fc.integer({ min: 1, max: 60 });
const alike = (count: number): Setting[] => Array.from({ length: count }, () => ({}));

describe('a hint', () => {
  it('chooses one process to claim and another one to check', () => {
    fc.assert(
      fc.property(counts, ids, (count, hint) => {
        const ranks = start(alike(count)).map((workers) => workers.rank('mail', hint));
        expect([...ranks].sort((a, b) => a - b)).toEqual(ranks.map((_, index) => index));
      }),
      { numRuns: 50 },
    );
  });

  it('chooses only among processes that handle the topic', () => {
    fc.assert(
      fc.property(ids, (hint) => {
        const settings: Setting[] = [{ topics: ['mail'] }, { topics: ['sms'] }, { topics: ['sms', 'mail'] }];
        const ranks = start(settings).map((workers) => workers.rank('mail', hint));
        expect([ranks[0], ranks[2]].sort()).toEqual([0, 1]);
      }),
    );
  });

  it('does not choose the process that sent it', () => {
    fc.assert(
      fc.property(fc.uuid(), fc.integer({ min: 0, max: 4 }), (id, index) => {
        const hint = { id, sender: hashWorker(`host:${index}:abc`) };
        const ranks = start(alike(5)).map((workers) => workers.rank('mail', hint));
        expect(ranks.filter((_, other) => other !== index).sort()).toEqual([0, 1, 2, 3]);
      }),
    );
  });

  it('chooses every process about as often as the others', () => {
    const workers = start(alike(8));
    const chosen = workers.map((worker) =>
      Array.from({ length: 4_000 }, (_, n) => worker.rank('mail', { id: `sender ${n}`, sender: undefined })),
    );
    const shares = chosen.map((ranks) => ranks.filter((rank) => rank === 0).length);
    expect(Math.min(...shares)).toBeGreaterThan(400);
    expect(Math.max(...shares)).toBeLessThan(600);
  });

  it('chooses a process that is alone, or receives no list', () => {
    const [alone] = start(alike(1));
    const [first] = start(alike(2));
    first!.record(undefined);
    for (const workers of [alone!, first!]) {
      expect(workers.rank('mail', { id: 'x', sender: undefined })).toBe(0);
      expect(workers.hasOthersFor('mail')).toBe(false);
    }
  });
});

describe('turns to poll', () => {
  it.each([2, 8, 50])('give %i processes together one poll per interval', (count) => {
    const times = polls(start(alike(count)));
    expect(times.length).toBeGreaterThan(60);
    expect(times.length).toBeLessThan(70);
    expect(longestGapMs(times)).toBeLessThanOrEqual(901);
  });

  it.each([50, 1_000, 5_000, 60_000])(
    'find a job within pollInterval and a second when one process is dead, with an interval of %i ms',
    (pollIntervalMs) => {
      fc.assert(
        fc.property(fc.integer({ min: 2, max: 10 }), fc.nat(), (count, dead) => {
          const settings = alike(count).map((_, index) => ({ pollIntervalMs, isDead: index === dead % count }));
          const times = polls(start(settings), count * pollIntervalMs * 5);
          expect(longestGapMs(times)).toBeLessThanOrEqual(pollIntervalMs + 1_000);
        }),
        { numRuns: 20 },
      );
    },
  );

  it('cover each topic', () => {
    const workers = start([{ topics: ['mail', 'sms'] }, { topics: ['sms', 'push'] }, { topics: ['push', 'mail'] }]);
    for (const pair of [
      [0, 1],
      [1, 2],
      [2, 0],
    ]) {
      expect(longestGapMs(polls(pair.map((index) => workers[index]!)))).toBeLessThanOrEqual(901);
    }
  });

  it('are not taken by a process that alone handles a topic, or alone has its interval', () => {
    const [specialist, other] = start([{ topics: ['mail', 'sms'] }, { topics: ['mail'] }]);
    expect(specialist!.nextPollMs(0)).toBeUndefined();
    expect(specialist!.horizonMs).toBe(Infinity);
    expect(other!.nextPollMs(0)).toBeDefined();
    const [slow] = start([{ pollIntervalMs: 60_000 }, {}]);
    expect(slow!.nextPollMs(0)).toBeUndefined();
  });

  it('leave each due time to two processes', () => {
    const workers = start(alike(5));
    const [first] = workers;
    const times = polls(workers);
    expect(first!.horizonMs).toBeGreaterThanOrEqual(2 * longestGapMs(times) - 1);
  });

  it('are also taken to look for expired leases', () => {
    const clock = new VirtualClock();
    const inMs = start(alike(4), clock).map((workers) => workers.nextRescueInMs()!);
    expect(Math.max(...inMs)).toBeLessThanOrEqual(4_000);
    const sorted = inMs.sort((a, b) => a - b);
    expect(longestGapMs(sorted)).toBeCloseTo(1_000);
    expect(start(alike(1))[0]!.nextRescueInMs()).toBeUndefined();
  });
});
