import { createHash } from 'node:crypto';
import type { LimitedTopicClaims } from '../job-store.js';
import type { LimitedClaim, LimitedClaimRequest, LimitReason } from './limited-claim.js';
import type { RunTransactions, SqlQuery, SqlRow } from '../runtime/sql-runner.js';
import { toClaim } from '../jobs/postgres-claimer.js';
import * as sql from './limited-claim.postgres.js';

interface LimitedClaimerParts {
  readonly query: SqlQuery;
  readonly transact: RunTransactions;
  /** The schema of the tables. */
  readonly schema: () => string;
}

/** How many keyed jobs one claim marks as due. */
const MARKED_MAX = 100;
/** How many keys a claim looks at: more than it has slots, since a key may be full. */
const STEPS_PER_SLOT = 4;
const STEPS_ONCE = 64;

/** What a claim says about its end: see the last row of `CLAIM_LIMITED`. */
interface Ending {
  readonly hasLock: boolean;
  readonly isLimited: boolean | null;
  readonly isPaused: boolean | null;
  readonly room: number | null;
  readonly totalRoom: number | null;
  readonly isCut: boolean;
  readonly fullKeys: number;
  readonly rateInMs: number | null;
}

/** Claims jobs of topics that have limits, or jobs with a concurrency key. */
export class LimitedClaimer implements LimitedTopicClaims {
  /** Numbers the claims of this process. */
  private claimCount = 0;

  constructor(private readonly parts: LimitedClaimerParts) {}

  async claim(request: LimitedClaimRequest): Promise<LimitedClaim> {
    const { rows, ending } = await this.claimOnce(request);
    if (ending.hasLock && !ending.isLimited && request.hasKeyed) {
      await this.parts.query(sql.MARK_LIMITED, [request.topic]);
      const second = await this.claimOnce(request);
      return this.toResult(request, second.rows, second.ending);
    }
    return this.toResult(request, rows, ending);
  }

  async pruneStarts(topic: string): Promise<void> {
    await this.parts.query(sql.PRUNE_STARTS, [topic]);
  }

  private async claimOnce(request: LimitedClaimRequest): Promise<{ rows: readonly SqlRow[]; ending: Ending }> {
    const { topic, priorities, hasKeyed, limit, worker, leaseMs } = request;
    const { transact, schema } = this.parts;
    this.claimCount += 1;
    const stamp = String(this.claimCount);
    const order = `{${priorities.join(',')}}`;
    const params = [topic, stamp, worker, leaseMs, order, limit, STEPS_PER_SLOT * limit + STEPS_ONCE];
    const rows = await transact([
      ...(hasKeyed ? [[{ sql: sql.MARK_KEYED_DUE, params: [topic, order, MARKED_MAX] }]] : []),
      [
        { sql: sql.LOCK_TOPIC, params: [stamp, toLockNumber(schema(), topic)] },
        { sql: sql.CLAIM_LIMITED, params },
      ],
    ]);
    return { rows: rows.slice(0, -1), ending: JSON.parse(rows.at(-1)!.ending as string) as Ending };
  }

  private toResult({ limit }: LimitedClaimRequest, rows: readonly SqlRow[], ending: Ending): LimitedClaim {
    const claims = rows.map(toClaim);
    const { hasLock, isLimited, isCut, rateInMs } = ending;
    const result = { claims, limitedBy: toReason(ending, claims.length, limit), rateInMs };
    if (!hasLock) {
      return { ...result, ending: 'locked' };
    }
    return { ...result, ending: isLimited ? (isCut ? 'cut' : 'done') : 'unlimited' };
  }
}

/** @param claimed how many jobs the claim has returned. */
function toReason({ room, totalRoom, fullKeys, isPaused }: Ending, claimed: number, limit: number): LimitReason | null {
  if (isPaused || room === null || claimed >= limit) {
    return null;
  }
  if (claimed >= room) {
    return totalRoom !== null && totalRoom <= claimed ? 'concurrency' : 'rate';
  }
  return fullKeys > 0 ? 'key' : null;
}

/** Advisory locks belong to the database, so the schema counts too. */
function toLockNumber(schema: string, topic: string): number {
  return createHash('sha256').update(`${schema} ${topic}`).digest().readInt32BE();
}
