import type { JobContext } from '../../lib/core/job-handler.js';
import { JobsEngine } from '../../lib/engine/jobs-engine.js';
import { altered } from '../support/altered-store.js';
import { VirtualClock } from '../support/unit/virtual-clock.js';
import { shortLine, SimulatedStore } from './world/simulated-store.js';
import { SimulatedTable } from './world/simulated-table.js';

const SLOTS = 10;
const WARM_UP_MS = 3_000;

interface Seen {
  /** Of the time of all slots, what handlers had. */
  readonly used: number;
  /** How long a job that was claimed waited for a slot, at the most. */
  readonly waitedMs: number;
  /** Jobs that were claimed and given back. */
  readonly givenBack: number;
}

/** A process that has other things to do whenever it might wait. */
class BusyClock extends VirtualClock {
  idleMs(): number {
    return 0;
  }
}

interface Circumstances {
  readonly clock?: VirtualClock;
  readonly measuredMs?: number;
}

/** A process with more work than it can do, and a database from which each answer takes so long. */
async function work(
  wayMs: number,
  handlerMs: number,
  { clock = new VirtualClock(), measuredMs = 3_000 }: Circumstances = {},
): Promise<Seen> {
  const table = new SimulatedTable(clock);
  const sleep = (ms: number): Promise<void> => new Promise((resolve) => clock.schedule(ms, resolve));
  const claimedAtMs = new Map<string, number>();
  const store = new SimulatedStore(table, {
    ...shortLine,
    ask: async (verb, ask) => {
      await sleep(wayMs / 2);
      const answer = ask();
      await sleep(wayMs / 2);
      if (verb === 'claim') (answer as { id: string }[]).forEach(({ id }) => claimedAtMs.set(id, clock.now()));
      return answer;
    },
  });
  // As PostgreSQL has it: another claim is sent behind one that is under way when it may bring so many.
  const capabilities = { ...store.capabilities, pipelined: { atOnce: 2, jobsMin: 250 } };
  const engine = new JobsEngine({ store: altered(store, { capabilities }), clock, concurrency: SLOTS });
  const isMeasured = (): boolean => clock.now() >= WARM_UP_MS;
  let [usedMs, waitedMs, givenBack] = [0, 0, 0];
  engine.events.subscribe(({ type }) => (givenBack += Number(type === 'snoozed')));
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
  const seen = { used: usedMs / (SLOTS * measuredMs), waitedMs, givenBack };
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
  ])('%d ms: has quick jobs of %d ms here when a slot becomes free', async (wayMs, handlerMs) => {
    const { used, waitedMs } = await work(wayMs, handlerMs);
    expect(used).toBeGreaterThan(0.9);
    expect(waitedMs).toBeLessThanOrEqual(Math.min(250, Math.max(50, 3 * wayMs)) + handlerMs);
  });

  it('takes no database for far that answers while it has other things to do', async () => {
    expect((await work(100, 60, { clock: new BusyClock() })).waitedMs).toBe(0);
  });

  it.each([
    [1, 30],
    [10, 60],
    [100, 180],
    [1_000, 300],
  ])('%d ms: claims no slow ones of %d ms ahead of free slots', async (wayMs, handlerMs) => {
    expect((await work(wayMs, handlerMs)).waitedMs).toBe(0);
  });

  it('gives nothing back that it claimed ahead, however far the database is', async () => {
    expect(await work(800, 10, { measuredMs: 10_000 })).toMatchObject({ givenBack: 0 });
  });
});
