import type { Claim } from '../../core/job.js';
import type * as Seam from '../job-store.js';
import { claimOf, movedOf } from '../row-mapper.js';
import { noteInserted, settledInOrder, unanswered } from '../set-answers.js';
import { insertJson, settlementJson, tokenJson } from '../set-json.js';
import type { SqlRow, SqlScript } from '../sql-runner.js';
import * as sql from './statements.js';

/** A script of one statement. */
export function* one(text: string, params: readonly unknown[]): SqlScript<readonly SqlRow[]> {
  return yield { sql: text, params };
}

/** Inserts, then looks up the holders of keys that were taken. */
export function* insertScript(jobs: readonly Seam.JobInsert[]): SqlScript<Seam.InsertedJob[]> {
  const inserted = new Map<string, Seam.InsertedJob>();
  for (const { idempotency } of jobs.filter((job) => job.idempotency !== null)) {
    yield { sql: sql.RELEASE_KEY, params: [idempotency!.key] };
  }
  const rows = yield { sql: sql.INSERT_JOBS, params: [insertJson(jobs, sqliteTime)] };
  for (const { id, topic, uniqueKey, idempotency } of noteInserted(inserted, jobs, rows)) {
    const params = [id, topic, uniqueKey, idempotency?.key ?? null];
    noteInserted(inserted, [], yield { sql: sql.FIND_HOLDER, params });
  }
  return jobs.map(({ id }) => inserted.get(id)!);
}

/** A lane with its lower bound in the form of the tables. */
export type DueLane = Seam.Lane & { readonly from: string };

/** Claims lane by lane until the limit is reached. */
export function* claimScript(
  lanes: readonly DueLane[],
  { limit, worker, leaseMs }: Seam.ClaimRequest,
): SqlScript<Claim[]> {
  const claims: Claim[] = [];
  for (const lane of lanes) {
    const room = Math.min(lane.limit, limit - claims.length);
    if (room > 0) {
      const rows = yield {
        sql: sql.CLAIM_LANE,
        params: [lane.topic, lane.priority, lane.from, room, worker, leaseMs],
      };
      claims.push(...rows.map(claimOf));
    }
  }
  return claims;
}

/** Looks from one priority to the next, so that the cost is that of the lanes, however many jobs wait in them. */
export function* surveyScript({ topic, after, before }: Seam.LaneGap): SqlScript<SqlRow[]> {
  const lanes: SqlRow[] = [];
  for (let from = after; ; from = Number(lanes.at(-1)!.priority)) {
    const [first] = yield { sql: sql.SURVEY_GAP, params: [topic, from, before] };
    if (!first) {
      return lanes;
    }
    lanes.push(first);
  }
}

/** Settles, then reads how the rows stand that did not move. */
export function* settleScript(settlements: readonly Seam.Settlement[]): SqlScript<Seam.Settled[]> {
  const tokens = settlements.map(({ token }) => token);
  const moved = yield { sql: sql.SETTLE, params: [settlementJson(settlements)] };
  const others = unanswered(tokens, moved);
  const states = others.length === 0 ? [] : yield { sql: sql.SETTLED_STATE, params: [tokenJson(others)] };
  return settledInOrder(tokens, moved, states);
}

const NO_JOB: SqlRow = { status: null, topic: null, attempt: 0 };

/** Moves jobs by request, one by one, and says of each what became of it. */
export function* moveScript(ids: readonly string[], verb: MoveVerb): SqlScript<Seam.Moved[]> {
  const answers: Seam.Moved[] = [];
  for (const id of ids) {
    const [row] = yield { sql: sql.MOVABLE, params: [id] };
    const holder = verb.takesKey ? (row?.holder_id ?? null) : null;
    const moved = row && holder === null ? yield { sql: verb.statement, params: [id, ...(verb.params ?? [])] } : [];
    // Alone, it is read as it stands now; nothing of a job that was deleted.
    const [whole] =
      moved.length > 0 && ids.length === 1 ? yield { sql: sql.FIND_JOBS, params: [JSON.stringify(ids)] } : [];
    answers.push(movedOf({ ...NO_JOB, ...row, ...moved[0], ...whole, id, moved: moved.length > 0, holder_id: holder }));
  }
  return answers;
}

/** A verb by request: its statement takes the id first. */
export interface MoveVerb {
  readonly statement: string;
  readonly params?: readonly unknown[];
  /** Whether it brings the job back into its unique key, which must be free then. */
  readonly takesKey?: boolean;
}

/** A moment in the one form of the tables. */
export function sqliteTime(moment: Date | string): string {
  return (typeof moment === 'string' ? moment : moment.toISOString()).replace('T', ' ').replace('Z', '');
}
