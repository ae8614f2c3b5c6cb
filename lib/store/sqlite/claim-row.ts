import type { Claim } from '../../core/job.js';
import { claimOf } from '../row-mapper.js';
import type { SqlRow } from '../sql-runner.js';

/** A claimed row says what is not usual. */
export function toClaim(row: SqlRow): Claim {
  const { unusual } = row;
  return claimOf(unusual === null ? row : { ...row, ...(JSON.parse(unusual as string) as SqlRow) });
}
