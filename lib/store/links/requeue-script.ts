import type { ReleasedJob } from './link-store.js';
import type { Cursor } from './follow-up-script.js';
import { FIRST_ID, WATCHED } from '../jobs/job-row.js';
import type { SqlRow, SqlScript } from '../runtime/sql-runner.js';

/** The statements of a database that re-queue children. */
export interface RequeueStatements {
  readonly WATCH_PARENTS: string;
  readonly FIND_CANCELLED: string;
  readonly REQUEUE_CHILDREN: string;
  readonly GIVE_TOKENS: string;
  readonly MARK_AGAIN: string;
}

/** What one transaction has re-queued. */
export interface RequeuedPage {
  readonly dependants: readonly ReleasedJob[];
  /** Parents that have completed in the meantime: their follow-up releases the children. */
  readonly owed: readonly string[];
  /** Cancelled jobs whose own descendants are still being cancelled. Their parents are in `rest`. */
  readonly owing: readonly string[];
  /** Jobs whose children, after one of them, are left to the next transaction. */
  readonly rest: readonly Cursor[];
}

/** Jobs that one transaction re-queues. Each may have a thousand parents. */
const REQUEUED_MAX = 100;
/** Links that one transaction reads. */
const READ_LINKS_MAX = 2_000;
/** Jobs whose children one statement reads. */
const PARENTS_MAX = 500;

/**
 * Re-queues jobs that were cancelled because of `parents`, level by level. They wait for their parents again; the one that has led to a job
 * holds its token.
 *
 * @param entry recorded in each of them.
 * @param levels how many levels of descendants this transaction re-queues at most.
 */
export function* requeueChildrenScript(
  sql: RequeueStatements,
  parents: readonly Cursor[],
  entry: string | null,
  levels = REQUEUED_MAX,
): SqlScript<RequeuedPage> {
  const dependants: SqlRow[] = [];
  const owed = new Set<string>();
  const owing: string[] = [];
  const left: Cursor[] = [];
  let queue = [...parents];
  let room = READ_LINKS_MAX;
  for (let level = 0; level < levels && queue.length > 0 && room > 0 && dependants.length < REQUEUED_MAX; level += 1) {
    const page = queue.slice(0, PARENTS_MAX);
    const ids = JSON.stringify([...new Set(page.map(({ id }) => id))].sort());
    // None of them ends before its children wait again.
    const rows = yield { sql: sql.WATCH_PARENTS, params: [ids] };
    const status = new Map(rows.map((row) => [row.id as string, row.status]));
    const open = page.filter(({ id }) => status.get(id) !== 'failed' && status.get(id) !== 'cancelled');
    const max = Math.min(room, REQUEUED_MAX - dependants.length);
    const links = open.length === 0 ? [] : yield { sql: sql.FIND_CANCELLED, params: [JSON.stringify(open), max] };
    room -= links.length;
    const free = links.filter(({ owes }) => !owes);
    const requeued = yield* requeueScript(sql, free, entry);
    dependants.push(...requeued);
    const completed = toParents(free).filter((id) => status.get(id) === 'completed');
    yield* followAgainScript(sql, completed);
    completed.forEach((id) => void owed.add(id));
    owing.push(...links.filter(({ owes }) => owes).map(({ child_id: id }) => id as string));
    left.push(...beforeOwing(links, open));
    const next = requeued
      .filter(({ watched }) => watched !== null)
      .map(({ id }) => ({ id: id as string, after: FIRST_ID }));
    queue = [...(links.length < max ? [] : behind(links.at(-1)!, open)), ...queue.slice(page.length), ...next];
  }
  return {
    dependants: dependants.map(({ id, topic }) => ({ id: id as string, topic: topic as string })),
    owed: [...owed],
    owing,
    // One cursor for each parent: that before its first child that owes a follow-up, if there is one.
    rest: [...new Map([...left, ...queue].reverse().map((cursor) => [cursor.id, cursor])).values()],
  };
}

function toParents(links: readonly SqlRow[]): string[] {
  return [...new Set(links.map(({ parent_id: id }) => id as string))].sort();
}

/** The rest of a page of parents, after its last link. */
function behind({ parent_id: id, child_id: after }: SqlRow, parents: readonly Cursor[]): Cursor[] {
  const cut = parents.findIndex((parent) => parent.id === id);
  return [{ id: id as string, after: after as string }, ...parents.slice(cut + 1)];
}

/** The parents whose links hold children that owe a follow-up, each before the first of these children. */
function beforeOwing(links: readonly SqlRow[], parents: readonly Cursor[]): Cursor[] {
  return toParents(links.filter(({ owes }) => owes)).map((id) => {
    const ofParent = links.filter(({ parent_id: parent }) => parent === id);
    const last = ofParent[ofParent.findIndex(({ owes }) => owes) - 1];
    return { id, after: (last?.child_id as string | undefined) ?? parents.find((parent) => parent.id === id)!.after };
  });
}

/** A parent that has completed before it got the tokens of these children: its follow-up, which may be under way, has not seen them. */
function* followAgainScript(sql: RequeueStatements, completed: readonly string[]): SqlScript<void> {
  if (completed.length > 0) {
    const members = completed.map((id) => ({ id, watched: WATCHED.again }));
    yield { sql: sql.MARK_AGAIN, params: [JSON.stringify(members)] };
  }
}

/** Re-queues the children of links, and gives their tokens to the parents of these links. */
function* requeueScript(
  sql: RequeueStatements,
  links: readonly SqlRow[],
  entry: string | null,
): SqlScript<readonly SqlRow[]> {
  const parents = new Map(links.map(({ parent_id, child_id }) => [child_id as string, parent_id as string]));
  if (parents.size === 0) {
    return [];
  }
  const rows = yield { sql: sql.REQUEUE_CHILDREN, params: [JSON.stringify([...parents.keys()].sort()), entry] };
  if (rows.length > 0) {
    const tokens = rows.map(({ id }) => ({ child_id: id, parent_id: parents.get(id as string) }));
    yield { sql: sql.GIVE_TOKENS, params: [JSON.stringify(tokens)] };
  }
  return rows;
}
