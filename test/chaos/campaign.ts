import { Cluster } from './cluster/cluster.js';
import type { Evidence } from './cluster/evidence.js';
import type { ChaosDatabase } from './cluster/chaos-database.js';
import { PostgresChaosDatabase, SqliteChaosDatabase } from './cluster/chaos-database.js';
import { NetworkNamespace } from './cluster/network-namespace.js';
import { SmallDisk } from './cluster/small-disk.js';
import { checkEvidence } from './checker/checker.js';
import type { Violation } from './checker/violation.js';
import type { Dice } from './dice.js';
import type { Fault, Kind, Reach } from './faults/fault.js';
import type { Mutant } from './mutants/mutant.js';
import { hasPgBouncer } from '../support/pgbouncer.js';
import type { RestartablePostgres } from '../processes/support/restartable-postgres.js';

/** One fault on one database with its number of strikes. */
export interface Run {
  readonly fault: Fault;
  readonly kind: Kind;
  readonly reach: Reach;
  /** The defect of the build under test. */
  readonly mutant?: Mutant;
  /** How long handlers work, from and to. */
  readonly handlerMs?: readonly [number, number];
}

/** The result of a run. */
export interface RunResult {
  readonly run: Run;
  readonly evidence: Evidence;
  readonly violations: readonly Violation[];
  readonly hits: number;
  readonly strikes: number;
}

const DRAIN_MAX_MS = 60_000;
/** Shorter for a broken build, in which stuck jobs are expected. */
const MUTANT_DRAIN_MAX_MS = 8_000;

/** Returns what this machine or user lacks for the fault. */
export function missingFor({ fault }: Run): string | undefined {
  const { smallDisk, namespace, pooler } = fault.needs ?? {};
  if (smallDisk && !SmallDisk.isAllowed()) return 'the right to mount a file system';
  if (namespace && !NetworkNamespace.isAllowed()) return 'the right to create a network namespace';
  return pooler && !hasPgBouncer() ? 'PgBouncer' : undefined;
}

/** Runs the fault, waits for the end of all jobs, and checks the evidence. */
export async function perform(run: Run, dice: Dice, server: RestartablePostgres): Promise<RunResult> {
  const { fault, kind, reach, mutant } = run;
  const target = await createTarget(run, server);
  try {
    const cluster = await Cluster.open(target, {
      dice: dice.of(`${fault.name} ${kind} ${mutant?.name ?? ''}`),
      options: fault.options,
      isPoisonous: fault.isPoisonous,
      schedules: fault.schedules,
      isLimited: fault.isLimited,
      isLinked: fault.isLinked,
      isVersioned: fault.isVersioned,
      handlerMs: run.handlerMs,
      clockOffsetsMs: fault.clockOffsetsMs,
      mutant: mutant?.name,
      drainMaxMs: mutant ? MUTANT_DRAIN_MAX_MS : DRAIN_MAX_MS,
    });
    try {
      await fault.strike(cluster, reach.strikes);
      await cluster.drain();
      const evidence = await cluster.close();
      const { strikes } = evidence;
      return {
        run,
        evidence,
        violations: checkEvidence(evidence),
        hits: fault.hits(evidence),
        strikes: strikes.length,
      };
    } finally {
      await cluster.dispose();
    }
  } finally {
    await target.close();
  }
}

/**
 * Whether a sound build has kept every promise while the fault hit as often as it had to, or a broken one was found out by
 * a promise that it breaks.
 */
export function isPassed({ run, violations, hits }: RunResult): boolean {
  const { mutant, reach } = run;
  return mutant
    ? violations.some(({ promise }) => mutant.breaks.includes(promise))
    : violations.length === 0 && hits >= reach.hits;
}

function createTarget({ fault, kind }: Run, server: RestartablePostgres): Promise<ChaosDatabase> {
  const needs = fault.needs ?? {};
  return kind === 'postgres' ? PostgresChaosDatabase.create(server, needs) : SqliteChaosDatabase.create(needs);
}
