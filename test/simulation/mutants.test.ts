import { withoutStacks } from './without-stacks.js';
import type { Mutant } from './mutants.js';
import { mutants } from './mutants.js';
import { World } from './world/world.js';

const WORLDS_MAX = 400;
/** On a machine that is busy with other work. */
const SEARCH_MAX_MS = 240_000;

/** The first world in which a promise breaks that the mutant is meant to break; `undefined` when it gets away. */
async function findOut({ breaks, from = 1, break: breakIt }: Mutant): Promise<number | undefined> {
  const mend = breakIt();
  try {
    for (let seed = from; seed < from + WORLDS_MAX; seed += 1) {
      const { violations } = await new World(seed).live();
      if (violations.some(({ promise }) => breaks.includes(promise))) {
        return seed;
      }
    }
    return undefined;
  } finally {
    mend();
  }
}

describe('a world finds out that', () => {
  withoutStacks();

  it.each(mutants.map((mutant) => [mutant.wrong, mutant] as const))(
    '%s',
    async (_wrong, mutant) => {
      expect(await findOut(mutant)).toEqual(expect.any(Number));
    },
    SEARCH_MAX_MS,
  );
});
