import type { ReleasedJob } from './link-store.js';
import type { Cursor } from './follow-up-script.js';
import { FIRST_ID } from './follow-up-script.js';
import type { SqlRow, SqlScript } from '../runtime/sql-runner.js';

/** The statements of a database that re-queue children. */
export interface RequeueStatements {
  readonly WATCH_PARENTS: string;
  readonly FIND_CANCELLED: string;
  readonly REQUEUE_CHILDREN: string;
  readonly GIVE_TOKENS: string;
}

/** What one transaction has re-queued. */
export interface RequeuedPage {
  readonly dependants: readonly ReleasedJob[];
  /** Parents that have completed in the meantime: their follow-up releases the children. */
  readonly owed: readonly string[];
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
  let queue = [...parents];
  let room = READ_LINKS_MAX;
  for (let level = 0; level < levels && queue.length > 0 && room > 0 && dependants.length < REQUEUED_MAX; level += 1) {
    const page = queue.slice(0, PARENTS_MAX);
    const ids = JSON.stringify([...new Set(page.map(({ id }) => id))].sort());
    // None of them ends before its children wait again.
    const rows = yield { sql: sql.WATCH_PARENTS, params: [ids] };
    const isOver = new Set(
      rows.filter(({ status }) => status === 'failed' || status === 'cancelled').map(({ id }) => id),
    );
    const open = page.filter(({ id }) => !isOver.has(id));
    const max = Math.min(room, REQUEUED_MAX - dependants.length);
    const links = open.length === 0 ? [] : yield { sql: sql.FIND_CANCELLED, params: [JSON.stringify(open), max] };
    room -= links.length;
    const requeued = yield* requeueScript(sql, links, entry);
    dependants.push(...requeued);
    const completed = new Set(rows.filter(({ status }) => status === 'completed').map(({ id }) => id as string));
    links.forEach(({ parent_id: id }) => void (completed.has(id as string) && owed.add(id as string)));
    const last = links.length < max ? undefined : links.at(-1)!;
    const cut = last === undefined ? -1 : open.findIndex(({ id }) => id === last.parent_id);
    const left =
      last === undefined
        ? []
        : [{ id: last.parent_id as string, after: last.child_id as string }, ...open.slice(cut + 1)];
    const next = requeued
      .filter(({ watched }) => watched !== null)
      .map(({ id }) => ({ id: id as string, after: FIRST_ID }));
    queue = [...left, ...queue.slice(page.length), ...next];
  }
  return {
    dependants: dependants.map(({ id, topic }) => ({ id: id as string, topic: topic as string })),
    owed: [...owed],
    rest: queue,
  };
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
