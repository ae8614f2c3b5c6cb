import type { ClaimToken } from '../../core/job.js';
import { isFinal } from '../../core/job-state.js';
import { selectWithoutRow, toCompleted, toSettledInOrder } from '../jobs/batch-results.js';
import { toSettlementJson, toTokenJson, toUncalledJson } from '../jobs/batch-json.js';
import type { DeadLetterStatements } from './dead-letter-script.js';
import { insertDeadLettersScript } from './dead-letter-script.js';
import type {
  CancelledJob,
  EndedParent,
  LinkChanges,
  LinkMode,
  ParentEnd,
  ReleasedJob,
  RequeuedDependants,
} from './link-store.js';
import type { SqlRow, SqlScript } from '../runtime/sql-runner.js';
import type { Completion, Settled, Settlement } from '../jobs/job-records.js';
import { isCompletion } from '../jobs/job-records.js';

/** The statements of a database that end parents. Sets are JSON arrays. */
export interface LinkStatements extends DeadLetterStatements {
  readonly SETTLE_WATCHED: string;
  readonly SETTLED_STATE: string;
  readonly TAKE_BACK_STARTS: string;
  readonly CLOSE_LINKS: string;
  readonly CLOSE_LINKS_OF_COMPLETED: string;
  readonly LOCK_CHILDREN: string;
  readonly LOCK_DESCENDANTS: string;
  readonly RELEASE_CHILDREN: string;
  readonly LOCK_GROUPS: string;
  readonly FINISH_GROUPS: string;
}

/** The statements of a database that re-queue children. */
export interface RequeueStatements extends LinkStatements {
  readonly WATCH_PARENTS: string;
  readonly REQUEUE_CHILDREN: string;
  readonly REOPEN_LINKS: string;
}

/** Records completions of watched jobs with a cheap statement. Returns those that it has recorded. */
export type CompleteWatchedScript = (completions: readonly Completion[]) => SqlScript<readonly Completion[]>;

/** How many links one transaction closes. It leaves others to the next one, so its statements end within their timeout. */
export const CLOSED_LINKS_MAX = 5_000;
/** Fits in a 4-byte integer. */
const STATEMENT_LINKS_MAX = 1_000_000;

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
  linksMax = CLOSED_LINKS_MAX,
): SqlScript<{ readonly settled: Settled[]; readonly changes: LinkChanges }> {
  const completions = complete ? settlements.filter(isCompletion) : [];
  const done = complete && completions.length > 0 ? yield* complete(completions) : [];
  const results = new Map<Settlement, Settled>(done.map((completion) => [completion, toCompleted(completion.token)]));
  const others = settlements.filter((settlement) => !results.has(settlement));
  const { rows, settled } = yield* settleAnyScript(sql, others);
  others.forEach((settlement, index) => results.set(settlement, settled[index]!));
  const completed = done.map(({ token }) => ({ id: token.id, status: 'completed' }));
  const changes = yield* endJobsScript(sql, [...completed, ...rows], linksMax);
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
  const uncalled = settlements.filter(
    ({ token, counted, isUncalled }) => counted && isUncalled && !unchanged.includes(token),
  );
  if (uncalled.length > 0) {
    yield { sql: sql.TAKE_BACK_STARTS, params: [toUncalledJson(uncalled)] };
  }
  const states =
    unchanged.length === 0 ? [] : yield { sql: sql.SETTLED_STATE, params: [toTokenJson(unchanged)], isRead: true };
  return { rows, settled: toSettledInOrder(tokens, rows, states) };
}

/**
 * Inserts the dead letters of jobs that have ended, and closes their links.
 *
 * @param rows ids and new statuses.
 */
export function* endJobsScript(
  sql: LinkStatements,
  rows: readonly SqlRow[],
  linksMax = CLOSED_LINKS_MAX,
): SqlScript<LinkChanges> {
  const deadLetters = yield* insertDeadLettersScript(sql, rows);
  return { ...(yield* endParentsScript(sql, rows.flatMap(toEndedParent), linksMax)), deadLetters };
}

/** A row with an id and a final status is an ended parent. */
export function toEndedParent({ id, status }: SqlRow | { id: string; status: string | null }): EndedParent[] {
  const ended = status as ParentEnd;
  return ended === 'deleted' || (status && isFinal(status as never)) ? [{ id: id as string, status: ended }] : [];
}

/** Parents whose links one statement closes. */
const ENDED_MAX = 1_000;
/** Each round is a few statements. */
const ROUNDS_MAX = 100;

/**
 * Closes the links of ended parents. A cancelled child is an ended parent too: each round cancels many of its descendants.
 *
 * @param linksMax how many links it closes. The result names the parents that may have others.
 */
export function* endParentsScript(
  sql: LinkStatements,
  ended: readonly EndedParent[],
  linksMax = CLOSED_LINKS_MAX,
): SqlScript<LinkChanges> {
  const released: ReleasedJob[] = [];
  const cancelled: CancelledJob[] = [];
  const done = new Set<string>();
  let waiting = ended;
  let room = linksMax;
  for (let round = 0; round < ROUNDS_MAX && room > 0 && waiting.length > 0; round += 1) {
    const parents = waiting.slice(0, ENDED_MAX);
    const closed = yield* closeLinksScript(sql, parents, room);
    room -= closed.count;
    const groups = yield* endMembersScript(sql, closed.links);
    // A group has a link for each of its callbacks, at most three.
    const callbacks = yield* closeLinksScript(sql, groups, Infinity);
    const children = toChildren([...closed.links, ...callbacks.links].filter(({ childId }) => !done.has(childId)));
    const changed = yield* releaseChildrenScript(sql, yield* lockChildrenScript(sql, children));
    released.push(...changed.released);
    cancelled.push(...changed.cancelled);
    changed.cancelled.forEach(({ id }) => done.add(id));
    waiting = [...waiting.slice(closed.isCut ? 0 : parents.length), ...changed.ended];
  }
  return { released, cancelled, ...(waiting.length > 0 ? { rest: waiting } : {}) };
}

/** With more errors or children than these, each round cancels one level: the search visits a job once for each error. */
const SEARCHED_ERRORS_MAX = 8;
const SEARCHED_CHILDREN_MAX = 1_000;
/** Descendants that one search finds, and the links of one job that it follows. A dense graph has many more links than jobs. */
export const SEARCH_LIMITS = { jobs: 1_000, linksOfJob: 100 } as const;

/** Locks the waiting children. If some will be cancelled, it also locks descendants that are cancelled with them. */
function* lockChildrenScript(
  sql: LinkStatements,
  children: ReadonlyMap<string, string | null>,
): SqlScript<readonly LockedChild[]> {
  if (children.size === 0) {
    return [];
  }
  const errors = new Set([...children.values()].filter((error) => error !== null));
  const isSearching = errors.size > 0 && errors.size <= SEARCHED_ERRORS_MAX && children.size <= SEARCHED_CHILDREN_MAX;
  const rows = isSearching
    ? yield {
        sql: sql.LOCK_DESCENDANTS,
        params: [JSON.stringify(sortById([...children].map(([id, error]) => ({ id, error }))))],
      }
    : yield { sql: sql.LOCK_CHILDREN, params: [toJson(children.keys())] };
  return rows.map((row) => {
    const id = row.id as string;
    // The error of its own parent, before that of an ancestor.
    return { id, error: children.get(id) ?? (row.error as string | null | undefined) ?? null };
  });
}

interface ClosedLinks {
  /** Links of completed jobs to the same child may be one. */
  readonly links: readonly ClosedLink[];
  readonly count: number;
  /** Whether the parents may have further open links. */
  readonly isCut: boolean;
}

/** Closes up to `max` open links of ended parents, by one statement for each way to end. That for completed jobs returns no parents. */
function* closeLinksScript(sql: LinkStatements, ended: readonly EndedParent[], max: number): SqlScript<ClosedLinks> {
  const errors = new Map(ended.map(({ id, error }) => [id, error ?? toParentError(id)]));
  const links: ClosedLink[] = [];
  let count = 0;
  for (const status of new Set(ended.map((parent) => parent.status))) {
    const parents = ended.filter((parent) => parent.status === status);
    const ids = toJson(parents.map(({ id }) => id));
    const room = Math.min(max - count, STATEMENT_LINKS_MAX);
    const isBrief = status === 'completed' && parents.every(({ error }) => error === undefined);
    const rows = yield isBrief
      ? { sql: sql.CLOSE_LINKS_OF_COMPLETED, params: [ids, room] }
      : { sql: sql.CLOSE_LINKS, params: [ids, room, status] };
    const closed = Number(rows[0]?.closed ?? rows.length);
    count += closed;
    links.push(...rows.map((row) => toClosedLink(row, errors)));
    if (closed === room) {
      return { links, count, isCut: true };
    }
  }
  return { links, count, isCut: false };
}

/**
 * Ends links that earlier transactions have left. A parent that was re-queued since keeps its links: they wait for its next end.
 *
 * @param rest from `LinkChanges`.
 */
export function* endRestScript(
  sql: LinkStatements & Pick<RequeueStatements, 'WATCH_PARENTS'>,
  rest: readonly EndedParent[],
  linksMax = CLOSED_LINKS_MAX,
): SqlScript<LinkChanges> {
  const rows = yield { sql: sql.WATCH_PARENTS, params: [toJson(rest.map(({ id }) => id))] };
  const statuses = new Map(rows.map(({ id, status }) => [id, status]));
  const ended = rest.flatMap((parent): EndedParent[] => {
    const status = statuses.get(parent.id);
    // A job that was re-queued may have ended differently since. Groups and deleted jobs have no row.
    return status === undefined
      ? [parent]
      : isFinal(status as never)
        ? [{ ...parent, status: status as ParentEnd }]
        : [];
  });
  return yield* endParentsScript(sql, ended, linksMax);
}

/** What one transaction has re-queued. */
export interface RequeuedPage {
  readonly dependants: RequeuedDependants['dependants'];
  /** Those that need not wait: their parents have completed in the meantime. */
  readonly changes: LinkChanges;
  /** Jobs whose children are left to the next transaction. */
  readonly parents: readonly string[];
}

/** Jobs that one transaction re-queues. Each may have a thousand parents, whose links it opens. */
const REQUEUED_MAX = 100;
/** Parents whose children one statement re-queues. */
const REQUEUED_PARENTS_MAX = 500;

/**
 * Re-queues jobs that were cancelled because of `parents`, level by level. They wait for their parents again.
 *
 * @param entry recorded in each of them.
 * @param levels how many levels of descendants this transaction re-queues at most.
 */
export function* requeueChildrenScript(
  sql: RequeueStatements,
  parents: readonly string[],
  entry: string | null,
  levels = REQUEUED_MAX,
): SqlScript<RequeuedPage> {
  const dependants: SqlRow[] = [];
  const [queue, others] = [parents.slice(0, REQUEUED_PARENTS_MAX), parents.slice(REQUEUED_PARENTS_MAX)];
  if (queue.length > 0) {
    // None of them ends before the links of its children are open again. The transaction has written the parents of later levels.
    yield { sql: sql.WATCH_PARENTS, params: [toJson(queue)] };
  }
  for (let level = 0; level < levels && queue.length > 0 && dependants.length < REQUEUED_MAX; level += 1) {
    const room = REQUEUED_MAX - dependants.length;
    const rows = yield { sql: sql.REQUEUE_CHILDREN, params: [toJson(queue), entry, room] };
    // Children with the key of one of these count against the limit, too.
    if (rows.length === 0 || (rows.length < room && rows.every(({ unique_key: key }) => key === null))) {
      queue.length = 0;
    }
    dependants.push(...rows);
    queue.push(...toIds(rows.filter(({ watched }) => watched !== null).map(({ id }) => id)));
  }
  const released = yield* reopenLinksScript(sql, toIds(dependants.map(({ id }) => id)));
  return {
    dependants: dependants.map(toReleasedJob),
    changes: { released, cancelled: [] },
    parents: [...queue, ...others],
  };
}

/** Opens the links of re-queued children. Releases the children whose parents have all completed. */
function* reopenLinksScript(sql: RequeueStatements, ids: readonly string[]): SqlScript<readonly ReleasedJob[]> {
  if (ids.length === 0) {
    return [];
  }
  yield { sql: sql.REOPEN_LINKS, params: [JSON.stringify(ids)] };
  const locked = yield { sql: sql.LOCK_CHILDREN, params: [JSON.stringify(ids)] };
  const children = locked.map(({ id }) => ({ id: id as string, error: null }));
  return (yield* releaseChildrenScript(sql, children)).released;
}

/** The error of a job that was cancelled because of a parent. */
export function toParentError(id: string): string {
  return `parent ${id} failed`;
}

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

function toReleasedJob({ id, topic }: SqlRow): ReleasedJob {
  return { id: id as string, topic: topic as string };
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
