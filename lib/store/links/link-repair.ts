import { isFinal } from '../../core/job-state.js';
import { toIds } from './link-script.js';
import type { LinkStatements, LockedChild } from './link-script.js';
import { cancelsChild, endParentsScript, releaseChildrenScript, toEndedParent, toParentError } from './link-script.js';
import type { EndedParent, LinkChanges } from './link-store.js';
import type { SqlRow, SqlScript } from '../runtime/sql-runner.js';

/** The statements of a database that repair links. Sets are JSON arrays. */
export interface RepairStatements extends LinkStatements {
  readonly WATCH_PARENTS: string;
  readonly DELETE_LINKS: string;
}

/** What a page of links shows to be wrong. */
export interface BrokenLinks {
  /** Children that do not exist. */
  readonly orphans: readonly string[];
  /** Parents that have ended or do not exist, with an open link. */
  readonly parents: readonly string[];
  /** Blocked children without an open link, as far as the page shows. */
  readonly children: readonly LockedChild[];
}

/** Finds what is wrong in a page of links, with the states of both ends. */
export function toBroken(rows: readonly SqlRow[]): BrokenLinks {
  const isOpen = (row: SqlRow): boolean => row.outcome === null;
  const waiting = new Set(rows.filter(isOpen).map((row) => row.child_id));
  const blocked = rows.filter((row) => Boolean(row.is_blocked) && !waiting.has(row.child_id));
  const children = new Map<string, string | null>();
  for (const row of blocked) {
    const isCancelled = cancelsChild({ mode: row.mode as never, outcome: row.outcome as never });
    const error = isCancelled ? toParentError(row.parent_id as string) : null;
    children.set(row.child_id as string, children.get(row.child_id as string) ?? error);
  }
  // A child that waits for a re-queue keeps its link to a failed parent.
  const isEnded = ({ parent_status: status, parent_is_group: isGroup, mode }: SqlRow): boolean =>
    status === null ? !isGroup : status === 'completed' || (mode !== 'wait' && isFinal(status as never));
  return {
    orphans: toIds(rows.filter((row) => row.child_status === null && !row.child_is_group).map((row) => row.child_id)),
    parents: toIds(rows.filter((row) => isOpen(row) && isEnded(row)).map((row) => row.parent_id)),
    children: [...children].map(([id, error]) => ({ id, error })),
  };
}

/**
 * Locks the parents first: one of them may have been re-queued since the page was read.
 *
 * @param linksMax how many links it ends. The result names the parents that may have others.
 */
export function* repairScript(
  statements: RepairStatements,
  found: BrokenLinks,
  linksMax: number,
): SqlScript<LinkChanges> {
  if (found.orphans.length > 0) {
    yield { sql: statements.DELETE_LINKS, params: [JSON.stringify(found.orphans)] };
  }
  const parents =
    found.parents.length === 0 ? [] : yield { sql: statements.WATCH_PARENTS, params: [JSON.stringify(found.parents)] };
  const known = new Set(parents.map(({ id }) => id));
  const deleted = found.parents.filter((id) => !known.has(id)).map((id): EndedParent => ({ id, status: 'deleted' }));
  const ended = yield* endParentsScript(statements, [...parents.flatMap(toEndedParent), ...deleted], linksMax);
  const ids = found.children.map(({ id }) => id);
  const locked = ids.length === 0 ? [] : yield { sql: statements.LOCK_CHILDREN, params: [JSON.stringify(ids)] };
  const isLocked = new Set(locked.map(({ id }) => id));
  const freed = yield* releaseChildrenScript(
    statements,
    found.children.filter(({ id }) => isLocked.has(id)),
  );
  const further = yield* endParentsScript(statements, freed.ended, linksMax);
  const rest = [...(ended.rest ?? []), ...(further.rest ?? [])];
  return {
    released: [...ended.released, ...freed.released, ...further.released],
    cancelled: [...ended.cancelled, ...freed.cancelled, ...further.cancelled],
    ...(rest.length > 0 ? { rest } : {}),
  };
}
