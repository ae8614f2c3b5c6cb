import type { JobContext } from '../../lib/core/job-handler.js';
import { JobsEngine } from '../../lib/engine/jobs-engine.js';
import { overrideStore } from '../support/override-store.js';
import { VirtualClock } from '../support/unit/virtual-clock.js';
import { instantConnection, SimulatedStore } from './world/simulated-store.js';
import { SimulatedTable } from './world/simulated-table.js';

const SLOTS = 10;
const WARM_UP_MS = 3_000;

interface Seen {
  /** The share of the time of all slots in which handlers ran. */
  readonly used: number;
  /** The longest time between a claim and the start of a handler. */
  readonly waitedMs: number;
  /** Jobs that were claimed and released. */
  readonly released: number;
}

/** The clock of a process that is never idle. */
class BusyClock extends VirtualClock {
  eventLoopIdleMs(): number {
    return 0;
  }
}

interface Circumstances {
  readonly clock?: VirtualClock;
  readonly measuredMs?: number;
}

/** Runs a worker with a backlog, on a database with a latency of `latencyMs`. */
async function work(
  latencyMs: number,
  handlerMs: number,
  { clock = new VirtualClock(), measuredMs = 3_000 }: Circumstances = {},
): Promise<Seen> {
  const table = new SimulatedTable(clock);
  const sleep = (ms: number): Promise<void> => new Promise((resolve) => clock.schedule(ms, resolve));
  const claimedAtMs = new Map<string, number>();
  const store = new SimulatedStore(table, {
    ...instantConnection,
    ask: async (verb, ask) => {
      await sleep(latencyMs / 2);
      const answer = ask();
      await sleep(latencyMs / 2);
      if (verb === 'claim') (answer as { id: string }[]).forEach(({ id }) => claimedAtMs.set(id, clock.now()));
      return answer;
    },
  });
  // Like PostgreSQL: a second claim is sent when it may return at least 250 jobs.
  const capabilities = { ...store.capabilities, pipelined: { atOnce: 2, minJobsForAnother: 250 } };
  const engine = new JobsEngine({ store: overrideStore(store, { capabilities }), clock, concurrency: SLOTS });
  const isMeasured = (): boolean => clock.now() >= WARM_UP_MS;
  let [usedMs, waitedMs, released] = [0, 0, 0];
  engine.events.subscribe(({ type }) => (released += Number(type === 'released')));
  engine.register('work', async ({ id }: JobContext) => {
    if (isMeasured()) {
      waitedMs = Math.max(waitedMs, clock.now() - claimedAtMs.get(id)!);
      usedMs += handlerMs;
    }
    claimedAtMs.delete(id);
    await sleep(handlerMs);
  });
  const count = Math.ceil(((WARM_UP_MS + measuredMs) / handlerMs) * SLOTS);
  const enqueued = engine.enqueueMany(Array.from({ length: count }, () => ({ topic: 'work', payload: null })));
  const started = engine.start();
  await clock.advance(WARM_UP_MS);
  await Promise.all([enqueued, started]);
  await clock.advance(measuredMs);
  const seen = { used: usedMs / (SLOTS * measuredMs), waitedMs, released };
  await clock.advanceUntil(engine.close());
  return seen;
}

describe('a process far from its database', () => {
  it.each([
    [10, 10],
    [50, 10],
    [100, 10],
    [100, 50],
    [20, 39],
    [100, 120],
  ])(
    'with a latency of %d ms has the next job of %d ms ready when a slot becomes free',
    async (latencyMs, handlerMs) => {
      const { used, waitedMs } = await work(latencyMs, handlerMs);
      expect(used).toBeGreaterThan(0.9);
      expect(waitedMs).toBeLessThanOrEqual(Math.min(250, Math.max(50, 3 * latencyMs)) + handlerMs);
    },
  );

  it('does not treat the database as far while the process itself is busy', async () => {
    expect((await work(100, 60, { clock: new BusyClock() })).waitedMs).toBe(0);
  });

  it.each([
    [1, 30],
    [10, 60],
    [100, 180],
    [1_000, 300],
  ])('with a latency of %d ms claims no slow jobs of %d ms ahead of free slots', async (latencyMs, handlerMs) => {
    expect((await work(latencyMs, handlerMs)).waitedMs).toBe(0);
  });

  it('releases no job that it claimed ahead from a very distant database', async () => {
    expect(await work(800, 10, { measuredMs: 10_000 })).toMatchObject({ released: 0 });
  });
});
