/**
 * @matrix all
 * @slow
 */

import { disableStacks } from './disable-stacks.js';
import type { Mutant } from './mutants.js';
import { mutants } from './mutants.js';
import { World } from './world/world.js';

const WORLDS_MAX = 400;
/** On a busy machine. */
const SEARCH_MAX_MS = 240_000;

/** The seed of the first world that breaks a promise of the mutant; `undefined` when none does. */
async function findBreakingSeed({ breaks, from = 1, break: breakIt }: Mutant): Promise<number | undefined> {
  const restore = breakIt();
  try {
    for (let seed = from; seed < from + WORLDS_MAX; seed += 1) {
      const { violations } = await new World(seed).live();
      if (violations.some(({ promise }) => breaks.includes(promise))) {
        return seed;
      }
    }
    return undefined;
  } finally {
    restore();
  }
}

describe('a world detects that', () => {
  disableStacks();

  it.each(mutants.map((mutant) => [mutant.title, mutant] as const))(
    '%s',
    async (_wrong, mutant) => {
      expect(await findBreakingSeed(mutant)).toEqual(expect.any(Number));
    },
    SEARCH_MAX_MS,
  );
});
