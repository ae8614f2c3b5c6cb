/** @slow */

import { isMatrix } from '../support/tier.js';
import { disableStacks } from './disable-stacks.js';
import type { WorldResult } from './world/world.js';
import { World } from './world/world.js';

const SEEDS = Number(process.env.JOBS_SIMULATION_SEEDS ?? (isMatrix ? 1_000 : 100));
/** Each run takes new worlds. The titles show the seeds: `JOBS_SIMULATION_SEED` and `JOBS_SIMULATION_SEEDS=1` repeat one. */
const FIRST_SEED = Number(process.env.JOBS_SIMULATION_SEED ?? Math.floor(Math.random() * 2 ** 31));
const BATCH = 50;
/** On a busy machine. */
const WORLD_MAX_MS = 2_000;

/** The first and last seed of each batch. */
function batches(): [number, number][] {
  const count = Math.ceil(SEEDS / BATCH);
  return Array.from({ length: count }, (_, index) => {
    const first = FIRST_SEED + index * BATCH;
    return [first, Math.min(first + BATCH, FIRST_SEED + SEEDS) - 1];
  });
}

describe('the engines of a simulated world', () => {
  /** The number of worlds with each statement or fault. */
  const worldsWith = new Map<string, number>();

  disableStacks();

  it.each(batches())(
    'keep every promise with seeds %i to %i',
    async (first, last) => {
      const broken: Pick<WorldResult, 'seed' | 'violations'>[] = [];
      for (let seed = first; seed <= last; seed += 1) {
        const { violations, actions } = await new World(seed).live();
        actions.forEach((action) => worldsWith.set(action, (worldsWith.get(action) ?? 0) + 1));
        if (violations.length > 0) broken.push({ seed, violations });
      }
      expect(broken).toEqual([]);
    },
    BATCH * WORLD_MAX_MS,
  );

  it('behave the same for the same seed, and differently for another', async () => {
    const [one, again, other] = [await new World(7).live(), await new World(7).live(), await new World(8).live()];
    expect(again.ledger).toEqual(one.ledger);
    expect(other.ledger).not.toEqual(one.ledger);
  });

  it('met every fault, and executed every transition of a job', () => {
    const kinds = ['completed', 'retry', 'failed', 'snooze', 'release', 'cancelled'].map((kind) => `settle ${kind}`);
    // Promotions are rare: 70 in a thousand worlds, and at times none in a hundred.
    const rareVerbs = SEEDS < 1_000 ? [] : ['promote'];
    const verbs = ['insert', 'claim', 'renew', 'rescue', 'requeue', 'cancel', 'delete', 'discard', ...rareVerbs];
    const faults = ['pause', 'outage', 'crash', 'restart', 'clock', 'refused', 'answer lost', 'hint lost', 'aborted'];
    // A few worlds cannot show everything.
    const worldsMin = SEEDS < 100 ? 0 : Math.max(1, SEEDS * 0.03 - 10);
    const rare = [...kinds, ...verbs, ...faults].filter((action) => (worldsWith.get(action) ?? 0) < worldsMin);
    expect(rare).toEqual([]);
  });
});
