import { withoutStacks } from './without-stacks.js';
import type { Verdict } from './world/world.js';
import { World } from './world/world.js';

const SEEDS = Number(process.env.JOBS_SIMULATION_SEEDS ?? 1_000);
/** A world that broke a promise is seen again with its seed here, and 1 as the number of seeds. */
const FIRST_SEED = Number(process.env.JOBS_SIMULATION_SEED ?? 1);
const BATCH = 50;
/** On a machine that is busy with other work. */
const WORLD_MAX_MS = 2_000;

/** First and last seeds. */
function batches(): [number, number][] {
  const count = Math.ceil(SEEDS / BATCH);
  return Array.from({ length: count }, (_, index) => {
    const first = FIRST_SEED + index * BATCH;
    return [first, Math.min(first + BATCH, FIRST_SEED + SEEDS) - 1];
  });
}

describe('engines in virtual time', () => {
  /** In how many worlds something happened. */
  const worldsWith = new Map<string, number>();

  withoutStacks();

  it.each(batches())(
    'keep every promise in the worlds of the seeds %i to %i',
    async (first, last) => {
      const broken: Pick<Verdict, 'seed' | 'violations'>[] = [];
      for (let seed = first; seed <= last; seed += 1) {
        const { violations, deeds } = await new World(seed).live();
        deeds.forEach((deed) => worldsWith.set(deed, (worldsWith.get(deed) ?? 0) + 1));
        if (violations.length > 0) broken.push({ seed, violations });
      }
      expect(broken).toEqual([]);
    },
    BATCH * WORLD_MAX_MS,
  );

  it('go the same way for the same seed, and another for another', async () => {
    const [one, again, other] = [await new World(7).live(), await new World(7).live(), await new World(8).live()];
    expect(again.ledger).toEqual(one.ledger);
    expect(other.ledger).not.toEqual(one.ledger);
  });

  it('were struck by what they are meant to survive, and did everything that jobs may do', () => {
    const kinds = ['completed', 'retry', 'failed', 'snooze', 'release', 'cancelled'].map((kind) => `settle ${kind}`);
    const verbs = ['insert', 'claim', 'renew', 'rescue', 'requeue', 'promote', 'cancel', 'delete', 'discard'];
    const faults = ['pause', 'outage', 'crash', 'restart', 'clock', 'refused', 'answer lost', 'hint lost', 'aborted'];
    // A few worlds prove nothing here.
    const worldsMin = SEEDS < 100 ? 0 : SEEDS * 0.03;
    const rare = [...kinds, ...verbs, ...faults].filter((deed) => (worldsWith.get(deed) ?? 0) < worldsMin);
    expect(rare).toEqual([]);
  });
});
