import type { Claim } from '../../core/job.js';
import { claimOf } from '../row-mapper.js';
import type { SqlRow } from '../sql-runner.js';

/** A claimed row says what is not usual, and when that was. */
export function claimOfRow({ id, topic, payload, run_at, created, at, unusual }: SqlRow): Claim {
  const row = { id, topic, payload, run_at, created, waited_ms: Number(at) - Number(run_at) };
  return claimOf(unusual === null ? row : { ...row, ...(JSON.parse(unusual as string) as SqlRow) });
}
