import { hitsOnRunning } from '../checker/hits.js';
import type { Fault } from './fault.js';

const TERM_KILL = 'SIGTERM then SIGKILL';

/** Workers are asked to end, and killed before they have. */
export const drainAndKill: Fault = {
  name: TERM_KILL,
  hitMeans: 'kills while a handler ran',
  quick: { postgres: { strikes: 4, hits: 1 }, sqlite: { strikes: 4, hits: 1 } },
  full: { postgres: { strikes: 100, hits: 30 }, sqlite: { strikes: 50, hits: 15 } },
  strike: async (arena, strikes) => {
    for (let count = 0; count < strikes; count += 1) {
      await arena.aWhile(50, 300);
      const victim = await arena.victim('worker');
      victim.terminate();
      await arena.aWhile(0, 120);
      arena.strike({ what: TERM_KILL, at: victim.name });
      victim.kill();
    }
  },
  hits: (evidence) => hitsOnRunning(evidence, TERM_KILL),
};
