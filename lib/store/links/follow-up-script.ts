/*
 * The follow-up of ended jobs, for both databases: what their end does to other jobs. It releases or cancels children, finishes groups and
 * inserts dead letters.
 *
 * Each waiting child, and each unfinished group, has one token. One parent that has not ended holds it (`_jobs_links.holds`). When the
 * holder ends, its follow-up passes the token to another open parent; if there is none, it releases the child. The other parents end like
 * jobs without children. A row that has ended is its own mark: `isOwed` in job-row.ts. The mark is cleared in the transaction that
 * does the work, so after a crash any process repeats it.
 *
 * Read `readFollowUp` first (reads without a lock), then `followUpScript` (one transaction).
 */
import type { BatchScript } from './batch-script.js';
import { asBatches, Work } from './batch-script.js';
import { FIRST_ID, LAST_ID, WATCHED } from '../jobs/job-row.js';
import type { DeadLetterStatements, StoredDeadLetter } from './dead-letter-script.js';
import { insertDeadLettersScript } from './dead-letter-script.js';
import type { CancelledJob, LinkMode, ParentEnd, ReleasedJob } from './link-store.js';
import { nextTurn } from '../runtime/real-timers.js';
import type { SqlQuery, SqlRow, SqlStatement } from '../runtime/sql-runner.js';

/** The statements of a database that follow up ended jobs. Sets are JSON arrays. */
export interface FollowUpStatements extends DeadLetterStatements {
  readonly FIND_OWED: string;
  readonly FIND: string;
  readonly FIND_NEXT: string;
  /** `FIND_NEXT` for one child, where that is cheaper. */
  readonly FIND_NEXT_OF_ONE?: string;
  readonly CLEAR: string;
  /** Follows `CLEAR`, where that only reads the marks. */
  readonly END_MARKS?: string;
  readonly LOCK_OWED: string;
  readonly MARK_AGAIN: string;
  readonly FIND_DESCENDANTS: string;
  readonly LOCK_CHILDREN: string;
  readonly LOCK_OPEN_GROUPS: string;
  readonly MARK_HOLDERS: string;
  readonly MOVE: string;
  readonly RELEASE: string;
  /** Follows `RELEASE`, where that does not end the tokens itself. */
  readonly END_TOKENS?: string;
  readonly CANCEL_WAITING: string;
  readonly MARK_FAILING: string;
  readonly FINISH_GROUPS: string;
  readonly FINISH_NEW_GROUP: string;
  readonly FIND_CALLBACKS: string;
  readonly START: string;
  readonly KEEP_OUTCOMES: string;
  readonly DELETE_MARKED: string;
  /** Runs before `KEEP_MARKED`. */
  readonly MARK_HOLDERS_OF_KEPT: string;
  readonly KEEP_MARKED: string;
}

/** An ended job, and the last of its children that was followed up. */
export interface Cursor {
  readonly id: string;
  readonly after: string;
  /** The end of which these children were followed up. After another one, the job begins again with its first child. */
  readonly version?: string | undefined;
}

/** Links that one statement reads for each that a transaction may change, and at least: in a dense graph most children have ended already. */
const READ_LINKS_FACTOR = 4;
const READ_LINKS_MIN = 200;
/** Links that one search for open parents reads, and the pages in which it reads those of one child. */
const READ_PARENTS_MAX = 1_000;
const PARENTS_PAGE_MIN = 4;
const PARENTS_PAGE_MAX = 1_000;
/** With this many children to cancel, a search also finds their descendants, up to a number of jobs and of links of each job. */
const SEARCHED_MAX = 8;
const DESCENDANTS_MAX = 200;
export const DESCENDANT_LINKS_MAX = 100;

/** A link of an ended parent. */
interface EndedLink {
  readonly parentId: string;
  readonly childId: string;
  readonly mode: LinkMode;
  readonly outcome: ParentEnd;
  readonly holds: boolean;
  /** Why a parent was cancelled itself, because of its own parent: the child gets the same error. */
  readonly error?: string | null;
  /** Stored in the link of a job that is about to be deleted. */
  readonly kept?: ParentEnd;
}

/** A token whose holder has ended. */
interface Token extends EndedLink {
  /** The parent that may hold it next. */
  next: string | null;
  /** That one has failed; the child waits for its re-queue. */
  isFailed: boolean;
  /** Another parent, whose end cancels the child. */
  bad: string | null;
  /** What the parents that were read have come to. */
  hasFailed: boolean;
  hasOther: boolean;
}

/** Why a child will be cancelled. */
interface Cancellation {
  readonly error: string;
  /** The job that is followed up. */
  readonly by: string;
  /** The reason is the failure of another parent. It is true while `by` holds the token: the re-queue of that parent takes it. */
  readonly needsToken?: boolean;
}

/** What one transaction will do. */
export interface FollowUp {
  /** Jobs whose links have all been read: their marks are cleared. */
  readonly complete: readonly string[];
  /** A job with further links keeps its mark. */
  readonly partial: readonly string[];
  /** Which end of each job was read: it may be re-queued, end again or be deleted before the transaction locks it. */
  readonly versions: ReadonlyMap<string, string>;
  /** Parents without a row, whose links the repair has found. */
  readonly absent: readonly string[];
  readonly tokens: readonly Token[];
  readonly cancelled: ReadonlyMap<string, Cancellation>;
  readonly failingGroups: readonly { readonly groupId: string; readonly by: string }[];
  /** Ends of jobs that are about to be deleted. */
  readonly outcomes: readonly EndedLink[];
  /** What is left to later transactions. */
  readonly rest: readonly Cursor[];
}

export interface FollowedUp {
  readonly released: readonly ReleasedJob[];
  readonly cancelled: readonly CancelledJob[];
  readonly deadLetters: readonly StoredDeadLetter[];
  /** Cancelled jobs on which others depend. */
  readonly owed: readonly string[];
  /** Jobs to look at again: the next holder of one of their tokens has ended, or is locked. */
  readonly again: readonly string[];
  /** Jobs that another transaction holds. */
  readonly locked: readonly string[];
}

/** Whether a parent that ends so cancels its child. */
export function cancelsChild(mode: LinkMode, outcome: ParentEnd): boolean {
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

/** The error of a job that was cancelled because of a parent. */
export function toParentError(id: string): string {
  return `parent ${id} failed`;
}

/**
 * Reads what the end of jobs does to others, without a lock.
 *
 * @param linksMax how many links one transaction changes.
 */
export async function readFollowUp(
  sql: FollowUpStatements,
  read: SqlQuery,
  cursors: readonly Cursor[],
  linksMax: number,
): Promise<FollowUp> {
  const max = Math.max(READ_LINKS_MIN, READ_LINKS_FACTOR * linksMax);
  const rows = await read(sql.FIND, [JSON.stringify(cursors), max]);
  const versions = new Map(rows.map(({ id, version }) => [id as string, version as string]));
  const { kept, isCut } = cut(rows, linksMax, max);
  const order = [...new Set(kept.map(({ id }) => id as string))];
  // Behind the cut are more links of the last job, and jobs of which nothing was read.
  const last = isCut ? order.at(-1)! : null;
  const complete = order.filter((id) => id !== last);
  const unread = isCut ? cursors.filter(({ id }) => id !== last && !order.includes(id)) : [];
  const after = kept.at(-1)?.child_id as string | null | undefined;
  return planFollowUp(sql, read, kept.map(toEndedLinks).flat(), {
    complete,
    partial: last === null ? [] : [last],
    versions,
    absent: [],
    rest: [...(last === null ? [] : [{ id: last, after: after ?? FIRST_ID, version: versions.get(last) }]), ...unread],
  });
}

/** The rows up to the last link that one transaction may change. */
function cut(
  rows: readonly SqlRow[],
  linksMax: number,
  max: number,
): { readonly kept: readonly SqlRow[]; readonly isCut: boolean } {
  let count = 0;
  const end = rows.findIndex((row) => isWork(row) && (count += 1) > linksMax);
  return end < 0 ? { kept: rows, isCut: rows.length >= max } : { kept: rows.slice(0, end), isCut: true };
}

/** A child that does not wait any more needs nothing: a re-queue that lets it wait again also gives its token to a parent. */
function isWork({ child_id: childId, mode, is_waiting: isWaiting, watched }: SqlRow): boolean {
  return childId !== null && (mode === 'member' || Boolean(isWaiting) || watched === WATCHED.deleted);
}

function toEndedLinks(row: SqlRow): EndedLink[] {
  if (!isWork(row)) {
    return [];
  }
  const isDeleted = row.watched === WATCHED.deleted;
  const outcome = (isDeleted && row.status !== 'completed' ? 'deleted' : row.status) as ParentEnd;
  // The row is about to be deleted: the link keeps how the job has ended. A child that waits for its re-queue waits in vain.
  const kept = (row.mode === 'wait' ? outcome : row.status) as ParentEnd;
  return [
    { ...toLink(row), outcome, error: isDeleted ? null : (row.error as string | null), ...(isDeleted ? { kept } : {}) },
  ];
}

export function toLink({ parent_id, child_id, mode, holds }: SqlRow): Omit<EndedLink, 'outcome'> {
  return {
    parentId: parent_id as string,
    childId: child_id as string,
    mode: mode as LinkMode,
    holds: Boolean(holds),
  };
}

/** Decides what the ends of links do, and finds the next holders of their tokens. */
export async function planFollowUp(
  sql: FollowUpStatements,
  read: SqlQuery,
  links: readonly EndedLink[],
  jobs: Pick<FollowUp, 'complete' | 'partial' | 'versions' | 'absent' | 'rest'>,
): Promise<FollowUp> {
  const cancelled = new Map<string, Cancellation>();
  const failing = new Map<string, string>();
  for (const { parentId, childId, mode, outcome, error } of links) {
    if (mode === 'member' && outcome === 'failed') {
      failing.set(childId, parentId);
    } else if (cancelsChild(mode, outcome) && !cancelled.has(childId)) {
      cancelled.set(childId, { error: error ?? toParentError(parentId), by: parentId });
    }
  }
  // A child that waits for the re-queue of a failed parent leaves its token there.
  const ended = links.filter(
    ({ holds, mode, outcome, childId }) =>
      holds && !(mode === 'wait' && outcome !== 'completed') && !cancelled.has(childId),
  );
  const found = await findNext(sql, read, ended.map(toToken));
  // Another parent has failed, and its follow-up has not come yet: this one cancels the child.
  const isCancelled = ({ mode, next, bad }: Token): boolean => mode !== 'member' && next === null && bad !== null;
  for (const { childId, parentId, bad } of found.filter(isCancelled)) {
    cancelled.set(childId, { error: toParentError(bad!), by: parentId, needsToken: true });
  }
  return {
    ...jobs,
    cancelled,
    tokens: found.filter(({ childId }) => !cancelled.has(childId)),
    failingGroups: [...failing].map(([groupId, by]) => ({ groupId, by })),
    outcomes: links.filter(({ kept }) => kept !== undefined),
  };
}

function toToken(link: EndedLink): Token {
  const hasFailed = link.outcome === 'failed';
  const hasOther = link.outcome !== 'completed' && !hasFailed;
  return { ...link, next: null, isFailed: false, bad: null, hasFailed, hasOther };
}

/** A search through the parents of a child: from the top, then from the old holder downwards, and once around. */
interface Search {
  readonly token: Token;
  before: string;
  page: number;
  step: 'top' | 'down' | 'around';
}

/** Finds another open parent for each token, page by page, without a lock. */
async function findNext(sql: FollowUpStatements, read: SqlQuery, tokens: readonly Token[]): Promise<readonly Token[]> {
  let open = tokens.map((token): Search => ({ token, before: LAST_ID, page: PARENTS_PAGE_MIN, step: 'top' }));
  for (let isFirst = true; open.length > 0; isFirst = false) {
    if (!isFirst) {
      // The children of a dense graph have many parents, and better-sqlite3 blocks the event loop while it reads.
      await nextTurn();
    }
    const { page } = open[0]!;
    const now = open.filter((each) => each.page === page).slice(0, Math.floor(READ_PARENTS_MAX / page));
    const taken = new Set(now);
    const rows = await readParents(sql, read, now, page);
    const found = new Map(rows.map((row) => [row.child_id, row]));
    const further = now.filter((each) => !isOver(each, found.get(each.token.childId)));
    open = [...further, ...open.filter((each) => !taken.has(each))];
  }
  return tokens;
}

function readParents(
  sql: FollowUpStatements,
  read: SqlQuery,
  searches: readonly Search[],
  page: number,
): Promise<readonly SqlRow[]> {
  const members = searches.map(({ token, before }) => ({ child_id: token.childId, before }));
  const [first] = members;
  return members.length === 1 && sql.FIND_NEXT_OF_ONE !== undefined
    ? read(sql.FIND_NEXT_OF_ONE, [first!.child_id, first!.before, page])
    : read(sql.FIND_NEXT, [JSON.stringify(members), page]);
}

/** Records a page of parents. Returns whether the search has found a parent, or seen all. */
function isOver(search: Search, row: SqlRow | undefined): boolean {
  return (row !== undefined && hasFound(search.token, row)) || isLastPage(search, row);
}

function hasFound(token: Token, row: SqlRow): boolean {
  token.bad ??= row.bad as string | null;
  token.hasFailed ||= Boolean(row.has_failed);
  token.hasOther ||= Boolean(row.has_other);
  const next = (row.next ?? row.next_failed) as string | null;
  if (next === null || next === token.parentId) {
    return false;
  }
  token.next = next;
  token.isFailed = row.next === null;
  return true;
}

/** Moves the search on to the next page. */
function isLastPage(search: Search, row: SqlRow | undefined): boolean {
  const { token } = search;
  const last = (row?.last ?? null) as string | null;
  const isEnd = last === null || Number(row!.seen) < search.page;
  if (search.step === 'top') {
    // The first page shows all parents of most children.
    search.step = 'down';
    search.before = token.parentId;
    return isEnd;
  }
  if (search.step === 'around' && (isEnd || last <= token.parentId)) {
    return true;
  }
  if (isEnd) {
    search.step = 'around';
    search.before = LAST_ID;
  } else {
    search.before = last;
  }
  search.page = Math.min(search.page * 8, PARENTS_PAGE_MAX);
  return false;
}

/** One transaction. It changes only what hangs on jobs that it has locked, and moves or ends a token only while the job still holds it. */
export function* followUpScript(sql: FollowUpStatements, plan: FollowUp): BatchScript<FollowedUp> {
  const seeds = [...plan.cancelled.keys()];
  const { mine, descendants } = yield* lockJobsScript(sql, plan, seeds);
  const isMine = (id: string): boolean => mine.has(id);
  const { waiting, groups, holders } = yield* lockTargetsScript(sql, plan, descendants ?? seeds);
  const tokens = plan.tokens.filter(
    ({ parentId, childId, mode }) => isMine(parentId) && (mode === 'member' ? groups : waiting).has(childId),
  );
  const accepts = ({ next, isFailed }: Token): boolean => {
    const status = holders.get(next);
    return status === 'pending' || status === 'processing' || (status !== undefined && isFailed);
  };
  const ended = tokens.filter(({ next }) => next === null);
  const again = new Set(tokens.filter((t) => t.next !== null && !accepts(t)).map(({ parentId }) => parentId));
  const finished = ended.filter(({ mode }) => mode === 'member');
  const isDone = (id: string): boolean => isMine(id) && !again.has(id);
  const jobs = plan.complete.filter(isDone);
  const gone = jobs.filter((id) => mine.get(id)!.watched === WATCHED.deleted);
  const work = new Work();
  work.add(sql.MOVE, tokens.filter((t) => t.next !== null && accepts(t)).map(toMove));
  const released = work.add(sql.RELEASE, ended.filter(({ mode }) => mode !== 'member').map(toPair));
  if (sql.END_TOKENS !== undefined) {
    work.add(sql.END_TOKENS, ended.filter(({ mode }) => mode !== 'member').map(toPair));
  }
  const cancelled = work.add(sql.CANCEL_WAITING, toCancelled(plan, descendants, isMine, waiting));
  const outcomes = plan.outcomes.filter(({ parentId }) => isMine(parentId));
  work.add(
    sql.KEEP_OUTCOMES,
    outcomes.map((link) => ({ ...toPair(link), outcome: link.kept })),
  );
  const failing = plan.failingGroups.filter(({ groupId, by }) => isMine(by) && groups.has(groupId));
  const newlyFailing = work.add(
    sql.MARK_FAILING,
    failing.map(({ groupId }) => groupId),
  );
  const nowFinished = work.add(sql.FINISH_GROUPS, finished.map(toPair));
  work.add(
    sql.MARK_AGAIN,
    plan.complete.filter((id) => isMine(id) && again.has(id)).map((id) => ({ id, watched: mine.get(id)!.watched })),
  );
  work.add(sql.DELETE_MARKED, gone);
  yield* work.run();
  const ends = toGroupEnds(finished, nowFinished.rows, newlyFailing.rows);
  const callbacks = yield* endGroupsScript(sql, ends);
  const deadLetters = yield* asBatches(
    insertDeadLettersScript(
      sql,
      jobs.map((id) => mine.get(id)!).filter(({ watched }) => watched !== WATCHED.deleted && watched !== WATCHED.again),
    ),
  );
  return {
    released: [...released.rows.map(toChangedJob), ...callbacks.released],
    cancelled: [...cancelled.rows.map(toChangedJob), ...callbacks.cancelled],
    deadLetters,
    owed: [...toOwed(cancelled.rows), ...callbacks.owed],
    again: [...again],
    locked: [...plan.complete, ...plan.partial].filter((id) => !isMine(id)),
  };
}

/**
 * Locks the ended jobs, and returns them with the marks that they had. If few children will surely be cancelled, for one reason, finds their
 * descendants as well.
 */
function* lockJobsScript(
  sql: FollowUpStatements,
  plan: FollowUp,
  seeds: readonly string[],
): BatchScript<{ readonly mine: ReadonlyMap<string, SqlRow>; readonly descendants: readonly string[] | null }> {
  const cancellations = [...plan.cancelled.values()];
  const reasons = new Set(cancellations.map(({ error, by }) => `${by} ${error}`));
  // Whether a cancellation that needs the token comes true shows only when the child is cancelled.
  const areCertain = cancellations.every(({ needsToken }) => !needsToken);
  const isSearching = areCertain && reasons.size === 1 && seeds.length <= SEARCHED_MAX;
  const statements: SqlStatement[] = [];
  const toMembers = (ids: readonly string[]): string =>
    JSON.stringify([...ids].sort().map((id) => ({ id, version: plan.versions.get(id) })));
  if (plan.complete.length > 0) {
    statements.push({ sql: sql.CLEAR, params: [toMembers(plan.complete)] });
  }
  if (plan.partial.length > 0) {
    statements.push({ sql: sql.LOCK_OWED, params: [toMembers(plan.partial)] });
  }
  const locks = statements.length;
  if (plan.complete.length > 0 && sql.END_MARKS !== undefined) {
    statements.push({ sql: sql.END_MARKS, params: [toMembers(plan.complete)] });
  }
  if (isSearching) {
    const params = [JSON.stringify(seeds.map((id) => ({ id }))), seeds.length + DESCENDANTS_MAX];
    statements.push({ sql: sql.FIND_DESCENDANTS, params });
  }
  const results = statements.length === 0 ? [] : yield statements;
  const mine = new Map(results.slice(0, locks).flatMap((rows) => rows.map((row) => [row.id as string, row])));
  plan.absent.forEach((id) => mine.set(id, { id }));
  const found = isSearching ? results.at(-1)!.map(({ id }) => id as string) : null;
  return { mine, descendants: found && [...new Set([...seeds, ...found])] };
}

/** Locks the children and groups that still wait, and the next holders of tokens. */
function* lockTargetsScript(
  sql: FollowUpStatements,
  { tokens, failingGroups }: FollowUp,
  doomed: readonly string[],
): BatchScript<{
  readonly waiting: ReadonlySet<unknown>;
  readonly groups: ReadonlySet<unknown>;
  readonly holders: ReadonlyMap<unknown, unknown>;
}> {
  const children = [...doomed, ...tokens.filter(({ mode }) => mode !== 'member').map(({ childId }) => childId)];
  const members = tokens.filter(({ mode }) => mode === 'member').map(({ childId }) => childId);
  const work = new Work();
  const waiting = work.add(sql.LOCK_CHILDREN, children);
  const groups = work.add(sql.LOCK_OPEN_GROUPS, [...members, ...failingGroups.map(({ groupId }) => groupId)]);
  const holders = work.add(
    sql.MARK_HOLDERS,
    tokens.flatMap(({ next }) => next ?? []),
  );
  yield* work.run();
  return {
    waiting: new Set(waiting.rows.map(({ id }) => id)),
    groups: new Set(groups.rows.map(({ id }) => id)),
    holders: new Map(holders.rows.map(({ id, status }) => [id, status])),
  };
}

/** The children to cancel, of jobs that this transaction has locked. A descendant gets the error of its ancestor. */
function toCancelled(
  { cancelled }: FollowUp,
  descendants: readonly string[] | null,
  isMine: (id: string) => boolean,
  waiting: ReadonlySet<unknown>,
): readonly object[] {
  const mine = [...cancelled].filter(([, { by }]) => isMine(by));
  const all =
    mine.length === 0 || descendants === null
      ? mine.map(([id, cancellation]) => toCancelledChild(id, cancellation))
      : descendants.map((id) => toCancelledChild(id, cancelled.get(id) ?? mine[0]![1]));
  return all.filter(({ id }) => waiting.has(id)).sort((a, b) => (a.id < b.id ? -1 : 1));
}

function toCancelledChild(
  id: string,
  { error, by, needsToken }: Cancellation,
): { readonly id: string; readonly error: string; readonly holder: string | null } {
  return { id, error, holder: needsToken ? by : null };
}

/** How groups have ended: a group is `failing` from its first failed member on. */
function toGroupEnds(
  tokens: readonly Token[],
  finished: readonly SqlRow[],
  failing: readonly SqlRow[],
): ReadonlyMap<string, ParentEnd> {
  const ends = new Map<string, ParentEnd>(failing.map(({ id }) => [id as string, 'failing']));
  for (const { id, is_failing: isFailing } of finished) {
    const token = tokens.find(({ childId }) => childId === id)!;
    const hasFailed = Boolean(isFailing) || token.hasFailed;
    ends.set(id as string, hasFailed ? 'failed' : token.hasOther ? 'cancelled' : 'completed');
  }
  return ends;
}

/** Starts or cancels the callbacks of groups. */
export function* endGroupsScript(
  sql: Pick<FollowUpStatements, 'FIND_CALLBACKS' | 'START' | 'CANCEL_WAITING'>,
  ends: ReadonlyMap<string, ParentEnd>,
): BatchScript<Pick<FollowedUp, 'released' | 'cancelled' | 'owed'>> {
  if (ends.size === 0) {
    return { released: [], cancelled: [], owed: [] };
  }
  const [links] = yield [{ sql: sql.FIND_CALLBACKS, params: [toJson(ends.keys())] }];
  const start: string[] = [];
  const stop: { readonly id: string; readonly error: string }[] = [];
  for (const { parent_id: groupId, child_id: childId, mode } of links!) {
    const [group, id] = [groupId as string, childId as string];
    const end = ends.get(group)!;
    if (cancelsChild(mode as LinkMode, end) && end !== 'failing') {
      stop.push({ id, error: toGroupError(group, end) });
    } else if (end !== 'failing' || mode === 'failure') {
      start.push(id);
    }
  }
  const work = new Work();
  const released = work.add(sql.START, start);
  const cancelled = work.add(sql.CANCEL_WAITING, stop);
  yield* work.run();
  return {
    released: released.rows.map(toChangedJob),
    cancelled: cancelled.rows.map(toChangedJob),
    owed: toOwed(cancelled.rows),
  };
}

/** The error of a callback that does not run: `onSuccess` without the completion of all, `onFailure` without a failure. */
function toGroupError(id: string, end: ParentEnd): string {
  switch (end) {
    case 'failed':
      return `group ${id} failed`;
    case 'cancelled':
      return `no member of group ${id} failed, but not all completed`;
    default:
      return `no member of group ${id} failed`;
  }
}

function toPair({ parentId, childId }: EndedLink): { parent_id: string; child_id: string } {
  return { parent_id: parentId, child_id: childId };
}

function toMove(token: Token): object {
  return { ...toPair(token), next_id: token.next };
}

function toChangedJob({ id, topic, attempt }: SqlRow): CancelledJob {
  return { id: id as string, topic: topic as string, attempt: Number(attempt) };
}

/** Cancelled jobs on which others depend. */
function toOwed(cancelled: readonly SqlRow[]): string[] {
  return cancelled.filter(({ watched }) => watched !== null).map(({ id }) => id as string);
}

function toJson(ids: Iterable<string>): string {
  return JSON.stringify([...ids].sort());
}
