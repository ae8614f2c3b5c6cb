import type { Retention } from '../core/options.js';

/** Which finished jobs are old, as a pruning statement takes it. */
export interface RetentionAges {
  /** A JSON array of the statuses that are pruned, each with its age in milliseconds. */
  readonly json: string;
  /** Nothing younger is pruned, whatever its status; 0 where all is kept. */
  readonly youngestMs: number;
}

export function agesOf(retention: Retention): RetentionAges {
  const ages = Object.entries(retention).filter((entry): entry is [string, number] => entry[1] !== false);
  return {
    json: JSON.stringify(ages.map(([status, age]) => ({ status, age_ms: age }))),
    youngestMs: ages.length === 0 ? 0 : Math.min(...ages.map(([, age]) => age)),
  };
}
