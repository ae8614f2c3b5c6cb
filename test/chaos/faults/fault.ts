import type { JobsOptions } from 'nestjs-jobs';
import type { Cluster } from '../cluster/cluster.js';
import type { Evidence } from '../cluster/evidence.js';
import type { Needs } from '../cluster/chaos-database.js';

export type Kind = 'postgres' | 'sqlite';

/** How often a fault is tried, and how often it must have hit something. */
export interface Reach {
  readonly strikes: number;
  readonly hits: number;
}

/** One way to make things go wrong. */
export interface Fault {
  readonly name: string;
  /** What counts as a hit, in a few words. */
  readonly hitMeans: string;
  readonly quick: Partial<Record<Kind, Reach>>;
  readonly full: Partial<Record<Kind, Reach>>;
  readonly needs?: Needs;
  readonly options?: JobsOptions;
  readonly isPoisonous?: boolean;
  /** Whether most jobs are of topics with limits. */
  readonly isLimited?: boolean;
  /** Whether most jobs belong to graphs or groups. */
  readonly isLinked?: boolean;
  /** Whether the workers are of versions that declare different definitions. */
  readonly isVersioned?: boolean;
  /** How many schedules the workers declare. */
  readonly schedules?: number;
  /** The clock errors of the processes, used in turn. */
  readonly clockOffsetsMs?: readonly number[];
  /** Strikes as often as asked. What it has taken away it gives back before it returns. */
  readonly strike: (cluster: Cluster, strikes: number) => Promise<void>;
  readonly hits: (evidence: Evidence) => number;
  /** Describes what the run has measured, for the report. */
  readonly figures?: (evidence: Evidence) => string;
}
