import type { Claim } from '../../core/job.js';
import { toClaimedJob, toLaneScan } from './row-mapper.js';
import type { SqlQuery, SqlRow } from '../runtime/sql-runner.js';
import type { ClaimResult, LaneClaimRequest, LaneGap, LaneScan, LaneStart } from './job-records.js';
import { CLAIM, NUMBERS, SCAN } from './claim.postgres.js';

/** Claims jobs of topics without limits, and scans for waiting jobs of all topics. */
export class JobClaimer {
  constructor(private readonly query: SqlQuery) {}

  async claim({ lanes, limit, worker, leaseMs }: LaneClaimRequest): Promise<ClaimResult> {
    const input = lanes.map((lane) => ({ ...toLaneInput(lane), lane_limit: lane.limit }));
    const rows = await this.query(CLAIM, [JSON.stringify(input), limit, worker, leaseMs]);
    return { claims: rows.map(toClaim), rest: rows.length === limit ? 'maybe' : 'none' };
  }

  async scan(gaps: readonly LaneGap[], lanes: readonly LaneStart[] = []): Promise<LaneScan> {
    return toLaneScan(await this.query(SCAN, [JSON.stringify(gaps), JSON.stringify(lanes.map(toLaneInput))]));
  }
}

function toLaneInput({ topic, priority, lowerBound }: LaneStart): object {
  return { topic, priority, lower_bound: lowerBound ?? '-infinity' };
}

/** Reads a claimed row. `numbers` is an array as PostgreSQL writes it, `{2,1,3,0,NULL}`, or NULL for the usual values. */
export function toClaim(row: SqlRow): Claim {
  const { numbers } = row;
  if (numbers !== null) {
    const values = (numbers as string).slice(1, -1).split(',');
    NUMBERS.forEach((column, index) => (row[column] = values[index] === 'NULL' ? null : values[index]));
  }
  return toClaimedJob(row);
}
