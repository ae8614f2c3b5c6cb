import type { ClaimToken } from '../../core/job.js';
import { isFinal } from '../../core/job-state.js';
import { selectWithoutRow, toCompleted, toSettledInOrder } from '../jobs/batch-results.js';
import { toSettlementJson, toTokenJson } from '../jobs/batch-json.js';
import type { DeadLetterStatements } from './dead-letter-script.js';
import { insertDeadLettersScript } from './dead-letter-script.js';
import type { CancelledJob, LinkChanges, LinkMode, ReleasedJob, RequeuedDependants } from './link-store.js';
import type { SqlRow, SqlScript } from '../runtime/sql-runner.js';
import type { Completion, Settled, Settlement } from '../jobs/job-records.js';
import { isCompletion } from '../jobs/job-records.js';

/** The statements of a database that end parents. Sets are JSON arrays. */
export interface LinkStatements extends DeadLetterStatements {
  readonly SETTLE_WATCHED: string;
  readonly SETTLED_STATE: string;
  readonly CLOSE_LINKS: string;
  readonly CLOSE_LINKS_OF_COMPLETED: string;
  readonly LOCK_CHILDREN: string;
  readonly LOCK_DESCENDANTS: string;
  readonly RELEASE_CHILDREN: string;
  readonly LOCK_GROUPS: string;
  readonly FINISH_GROUPS: string;
}

/** The statements of a database that re-queue children. */
export interface RequeueStatements {
  readonly REQUEUE_CHILDREN: string;
  readonly REOPEN_LINKS: string;
}

/** How a parent has ended. A group is `failing` from its first failed member on. */
type ParentEnd = 'completed' | 'failed' | 'cancelled' | 'deleted' | 'failing';

export interface EndedParent {
  readonly id: string;
  readonly status: ParentEnd;
  /** The error of children that are cancelled. Default: that this parent failed. */
  readonly error?: string;
}

/** Records completions of watched jobs with a cheap statement. Returns those that it has recorded. */
export type CompleteWatchedScript = (completions: readonly Completion[]) => SqlScript<readonly Completion[]>;

/** A closed link. */
interface ClosedLink {
  readonly childId: string;
  readonly mode: LinkMode;
  readonly outcome: ParentEnd;
  /** The error of a child that is cancelled. */
  readonly error: string;
}

export const NO_CHANGES: LinkChanges = { released: [], cancelled: [] };

/**
 * Records the outcomes of watched jobs and ends their links, and inserts the dead letters of failed ones. One transaction.
 *
 * The rows of the children are locked after their links are closed, and the open links are counted in a later statement. So of two
 * parents that end at the same moment, the second one waits for the first, then sees its closed links, and releases the child.
 */
export function* settleWatchedScript(
  sql: LinkStatements,
  settlements: readonly Settlement[],
  complete: CompleteWatchedScript | null = null,
): SqlScript<{ readonly settled: Settled[]; readonly changes: LinkChanges }> {
  const completions = complete ? settlements.filter(isCompletion) : [];
  const done = complete && completions.length > 0 ? yield* complete(completions) : [];
  const results = new Map<Settlement, Settled>(done.map((completion) => [completion, toCompleted(completion.token)]));
  const others = settlements.filter((settlement) => !results.has(settlement));
  const { rows, settled } = yield* settleAnyScript(sql, others);
  others.forEach((settlement, index) => results.set(settlement, settled[index]!));
  const changes = yield* endJobsScript(
    sql,
    rows,
    done.map(({ token }) => token.id),
  );
  return { settled: settlements.map((settlement) => results.get(settlement)!), changes };
}

/** Records outcomes of all kinds. */
function* settleAnyScript(
  sql: LinkStatements,
  settlements: readonly Settlement[],
): SqlScript<{ readonly rows: readonly SqlRow[]; readonly settled: readonly Settled[] }> {
  if (settlements.length === 0) {
    return { rows: [], settled: [] };
  }
  const tokens: ClaimToken[] = settlements.map(({ token }) => token);
  const rows = yield { sql: sql.SETTLE_WATCHED, params: [toSettlementJson(settlements)] };
  const unchanged = selectWithoutRow(tokens, rows);
  const states =
    unchanged.length === 0 ? [] : yield { sql: sql.SETTLED_STATE, params: [toTokenJson(unchanged)], isRead: true };
  return { rows, settled: toSettledInOrder(tokens, rows, states) };
}

/**
 * Inserts the dead letters of jobs that have ended, and closes their links.
 *
 * @param rows ids and new statuses.
 * @param completed ids of further jobs, all completed.
 */
export function* endJobsScript(
  sql: LinkStatements,
  rows: readonly SqlRow[],
  completed: readonly string[] = [],
): SqlScript<LinkChanges> {
  const deadLetters = yield* insertDeadLettersScript(sql, rows);
  return { ...(yield* endParentsScript(sql, rows.flatMap(toEndedParent), completed)), deadLetters };
}

/** A row with an id and a final status is an ended parent. */
export function toEndedParent({ id, status }: SqlRow | { id: string; status: string | null }): EndedParent[] {
  const ended = status as ParentEnd;
  return ended === 'deleted' || (status && isFinal(status as never)) ? [{ id: id as string, status: ended }] : [];
}

/** How many levels of descendants one round cancels. */
export const CANCELLED_LEVELS_MAX = 100;

/**
 * With more errors than this, each round cancels one level. The search visits a shared descendant once for each error: with 30 errors
 * and 60 levels of 30 jobs, all linked to the next level, SQLite took 3.6 s instead of 1.3 s.
 */
const SEARCHED_ERRORS_MAX = 8;

/** Closes the links of ended parents. A cancelled child is an ended parent too: each round cancels many levels of its descendants. */
export function* endParentsScript(
  sql: LinkStatements,
  ended: readonly EndedParent[],
  completed: readonly string[] = [],
): SqlScript<LinkChanges> {
  const released: ReleasedJob[] = [];
  const cancelled: CancelledJob[] = [];
  const done = new Set<string>();
  let closed = yield* closeLinksScript(sql, ended, completed);
  while (closed.length > 0) {
    const next: EndedParent[] = [...(yield* endMembersScript(sql, closed))];
    const children = toChildren(closed.filter(({ childId }) => !done.has(childId)));
    const changed = yield* releaseChildrenScript(sql, yield* lockChildrenScript(sql, children));
    released.push(...changed.released);
    cancelled.push(...changed.cancelled);
    changed.cancelled.forEach(({ id }) => done.add(id));
    next.push(...changed.ended);
    closed = yield* closeLinksScript(sql, next, []);
  }
  return { released, cancelled };
}

/** Locks the waiting children. If some will be cancelled, it also locks the descendants that are cancelled with them. */
function* lockChildrenScript(
  sql: LinkStatements,
  children: ReadonlyMap<string, string | null>,
): SqlScript<readonly LockedChild[]> {
  if (children.size === 0) {
    return [];
  }
  const errors = new Set([...children.values()].filter((error) => error !== null));
  const isSearching = errors.size > 0 && errors.size <= SEARCHED_ERRORS_MAX;
  const rows = isSearching
    ? yield {
        sql: sql.LOCK_DESCENDANTS,
        params: [JSON.stringify(sortById([...children].map(([id, error]) => ({ id, error }))))],
      }
    : yield { sql: sql.LOCK_CHILDREN, params: [toJson(children.keys())] };
  return rows.map((row) => {
    const id = row.id as string;
    return { id, error: (row.error as string | null | undefined) ?? children.get(id) ?? null };
  });
}

/** Closes the links of ended parents. Links of completed jobs to the same child may be returned as one. */
function* closeLinksScript(
  sql: LinkStatements,
  ended: readonly EndedParent[],
  completed: readonly string[],
): SqlScript<readonly ClosedLink[]> {
  const errors = new Map(ended.map(({ id, error }) => [id, error ?? toParentError(id)]));
  const ofCompleted =
    completed.length === 0 ? [] : yield { sql: sql.CLOSE_LINKS_OF_COMPLETED, params: [toJson(completed)] };
  const others = ended.length === 0 ? [] : yield { sql: sql.CLOSE_LINKS, params: [JSON.stringify(sortById(ended))] };
  return [...ofCompleted, ...others].map((row) => toClosedLink(row, errors));
}

/**
 * Re-queues the jobs that were cancelled because of a job, level by level. They wait for their parents again.
 *
 * @param entry recorded in each of them.
 */
export function* requeueChildrenScript(
  sql: RequeueStatements,
  root: string,
  entry: string | null,
): SqlScript<RequeuedDependants['dependants']> {
  const dependants: SqlRow[] = [];
  for (let level = [root]; level.length > 0;) {
    const rows = yield { sql: sql.REQUEUE_CHILDREN, params: [JSON.stringify(level), entry] };
    dependants.push(...rows);
    level = toIds(rows.map(({ id }) => id));
    if (level.length > 0) {
      yield { sql: sql.REOPEN_LINKS, params: [JSON.stringify(level)] };
    }
  }
  return dependants.map(({ id, topic }) => ({ id: id as string, topic: topic as string }));
}

/** The error of a job that was cancelled because of a parent. */
export function toParentError(id: string): string {
  return `parent ${id} failed`;
}

const ANY_ID = '________-____-____-____-____________';
/** Patterns of SQL's LIKE for the errors of jobs that a parent or a group has cancelled. `requeue` with dependants finds jobs by them. */
export const PARENT_ERROR_PATTERNS = [toParentError(ANY_ID), `%group ${ANY_ID} failed%`] as const;

/** A blocked child, locked, and the error with which it is cancelled; `null`: it is not. */
export interface LockedChild {
  readonly id: string;
  readonly error: string | null;
}

/** Cancels children with an error. Releases those without, unless a link holds them. */
export function* releaseChildrenScript(
  sql: LinkStatements,
  children: readonly LockedChild[],
): SqlScript<LinkChanges & { readonly ended: readonly EndedParent[] }> {
  const rows =
    children.length === 0 ? [] : yield { sql: sql.RELEASE_CHILDREN, params: [JSON.stringify(sortById(children))] };
  const errors = new Map(children.map(({ id, error }) => [id, error]));
  const [freed, ended] = [
    rows.filter(({ status }) => status === 'pending'),
    rows.filter(({ status }) => status !== 'pending'),
  ];
  return {
    released: freed.map(toChangedJob),
    cancelled: ended.map(toChangedJob),
    ended: ended
      .filter(({ watched }) => watched !== null)
      .map((row) => ({ id: row.id as string, status: 'cancelled', error: errors.get(row.id as string)! })),
  };
}

/** Finishes the groups whose last member has ended. Returns the groups whose callbacks may start. */
function* endMembersScript(sql: LinkStatements, closed: readonly ClosedLink[]): SqlScript<readonly EndedParent[]> {
  const members = closed.filter(({ mode }) => mode === 'member');
  if (members.length === 0) {
    return [];
  }
  const ids = [...new Set(members.map(({ childId }) => childId))];
  yield { sql: sql.LOCK_GROUPS, params: [toJson(ids)] };
  const finished = yield* finishGroupsScript(sql, ids);
  const done = new Set(finished.map(({ id }) => id));
  const failing = members.filter(({ outcome, childId }) => outcome === 'failed' && !done.has(childId));
  return [
    ...finished,
    ...[...new Set(failing.map(({ childId }) => childId))].map((id) => ({ id, status: 'failing' as const })),
  ];
}

/** Finishes groups without an unfinished member. Returns how they ended. */
export function* finishGroupsScript(sql: LinkStatements, ids: readonly string[]): SqlScript<EndedParent[]> {
  const rows = yield { sql: sql.FINISH_GROUPS, params: [toJson(ids)] };
  return rows.map((row) => {
    const [id, status] = [row.id as string, row.status as ParentEnd];
    return { id, status, error: toGroupError(id, status) };
  });
}

/** The error of a callback that does not run: `onSuccess` without the completion of all, `onFailure` without a failure. */
function toGroupError(id: string, status: ParentEnd): string {
  switch (status) {
    case 'failed':
      return `group ${id} failed`;
    case 'cancelled':
      return `no member of group ${id} failed, but not all completed`;
    default:
      return `no member of group ${id} failed`;
  }
}

/** The jobs among the children, with an error if they are cancelled. */
function toChildren(closed: readonly ClosedLink[]): Map<string, string | null> {
  const children = new Map<string, string | null>();
  for (const link of closed) {
    if (link.mode !== 'member') {
      children.set(link.childId, children.get(link.childId) ?? (cancelsChild(link) ? link.error : null));
    }
  }
  return children;
}

/** Whether a parent that ends so cancels its child. */
export function cancelsChild({ mode, outcome }: Pick<ClosedLink, 'mode' | 'outcome'>): boolean {
  switch (mode) {
    case 'cancel':
      return outcome !== 'completed';
    case 'wait':
      return outcome === 'deleted';
    case 'failure':
      return outcome !== 'failed' && outcome !== 'failing';
    default:
      return false;
  }
}

function toClosedLink(row: SqlRow, errors: ReadonlyMap<string, string>): ClosedLink {
  return {
    childId: row.child_id as string,
    mode: row.mode as LinkMode,
    outcome: row.outcome as ParentEnd,
    error: errors.get(row.parent_id as string) ?? '',
  };
}

function toChangedJob({ id, topic, attempt }: SqlRow): CancelledJob {
  return { id: id as string, topic: topic as string, attempt: Number(attempt) };
}

function sortById<T extends { readonly id: string }>(members: readonly T[]): T[] {
  return [...members].sort((a, b) => (a.id < b.id ? -1 : 1));
}

function toJson(ids: Iterable<string>): string {
  return JSON.stringify([...ids].sort());
}

/** Returns each id once, in the order in which rows are locked. */
export function toIds(values: readonly unknown[]): string[] {
  return [...new Set(values as string[])].sort();
}
