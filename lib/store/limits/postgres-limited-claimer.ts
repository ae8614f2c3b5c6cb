import { createHash } from 'node:crypto';
import { KeyedJobMarker } from './keyed-job-marker.js';
import type { ClaimResult, CountedStart, LimitReason, TopicClaimRequest } from '../jobs/job-records.js';
import { toRest } from './limited-claim.js';
import type { RunTransactions, SqlQuery, SqlRow } from '../runtime/sql-runner.js';
import { toClaim } from '../jobs/postgres-claimer.js';
import * as sql from './limited-claim.postgres.js';

interface LimitedClaimerParts {
  readonly query: SqlQuery;
  readonly transact: RunTransactions;
  /** The schema of the tables. */
  readonly schema: () => string;
}

/** How many keyed jobs one claim marks as due, and how many a statement beside the claims. */
const MARKED_MAX = 100;
const MARKED_PAGE = 1_000;
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
  readonly isBehind: boolean;
  readonly fullKeys: number;
  readonly rateInMs: number | null;
  /** How many more starts the rate of the topic allowed before the claim. */
  readonly rateRoom: number | null;
  /** When the distance of spread starts allows the next one. */
  readonly spreadInMs: number | null;
  readonly start: CountedStart | null;
}

/** Claims jobs of topics that have limits, or jobs with a concurrency key. */
export class LimitedClaimer {
  /** Numbers the claims of this process. */
  private claimCount = 0;
  private readonly marker = new KeyedJobMarker({
    pageMax: MARKED_PAGE,
    mark: async (topic, priorities, limit) =>
      (await this.parts.query(sql.MARK_KEYED_DUE, [topic, toOrder(priorities), limit])).length,
  });

  constructor(private readonly parts: LimitedClaimerParts) {}

  async claim(request: TopicClaimRequest): Promise<ClaimResult> {
    const { rows, ending } = await this.claimOnce(request);
    if (ending.hasLock && !ending.isLimited && request.hasKeyed) {
      await this.parts.query(sql.MARK_LIMITED, [request.topic]);
      const second = await this.claimOnce(request);
      return this.toResult(request, second.rows, second.ending);
    }
    return this.toResult(request, rows, ending);
  }

  private async claimOnce(request: TopicClaimRequest): Promise<{ rows: readonly SqlRow[]; ending: Ending }> {
    const { topic, priorities, hasKeyed, limit, worker, leaseMs, handOverMs } = request;
    const { transact, schema } = this.parts;
    this.claimCount += 1;
    const stamp = String(this.claimCount);
    const order = toOrder(priorities);
    const steps = STEPS_PER_SLOT * limit + STEPS_ONCE;
    const params = [topic, stamp, worker, leaseMs, order, limit, steps, handOverMs, hasKeyed];
    const rows = await transact([
      ...(hasKeyed ? [[{ sql: sql.MARK_KEYED_DUE, params: [topic, order, MARKED_MAX] }]] : []),
      [
        { sql: sql.LOCK_TOPIC, params: [stamp, toLockNumber(schema(), topic)] },
        { sql: sql.CLAIM_LIMITED, params },
      ],
    ]);
    const ending = JSON.parse(rows.at(-1)!.ending as string) as Ending;
    if (ending.isBehind) {
      this.marker.start(topic, priorities);
    }
    return { rows: rows.slice(0, -1), ending };
  }

  private toResult({ limit }: TopicClaimRequest, rows: readonly SqlRow[], ending: Ending): ClaimResult {
    const claims = rows.map(toClaim);
    const { hasLock, isLimited, isCut, start } = ending;
    const held = hasLock ? toReason(ending, claims.length, limit) : 'lock';
    const rateInMs = toRateInMs(ending, claims.length) ?? undefined;
    const rest = !hasLock ? 'held' : isLimited ? (isCut ? 'cut' : toRest(held, claims.length, limit)) : 'unlimited';
    return { claims, rest, held, rateInMs, start: start ?? undefined };
  }
}

/** @param claimed how many jobs the claim has returned. */
function toReason(
  { room, totalRoom, fullKeys, isPaused }: Ending,
  claimed: number,
  limit: number,
): LimitReason | undefined {
  if (isPaused || room === null || claimed >= limit) {
    return undefined;
  }
  if (claimed >= room) {
    return totalRoom !== null && totalRoom <= claimed ? 'concurrency' : 'rate';
  }
  return fullKeys > 0 ? 'key' : undefined;
}

/** Spread starts wait for their distance, and, like all others, for the window when it is full. */
function toRateInMs({ rateInMs, rateRoom, spreadInMs }: Ending, claimed: number): number | null {
  return rateInMs === null || spreadInMs === null || rateRoom === null || rateRoom <= claimed ? rateInMs : spreadInMs;
}

function toOrder(priorities: readonly number[]): string {
  return `{${priorities.join(',')}}`;
}

/** Advisory locks belong to the database, so the schema counts too. */
export function toLockNumber(schema: string, topic: string): number {
  return createHash('sha256').update(`${schema} ${topic}`).digest().readInt32BE();
}
