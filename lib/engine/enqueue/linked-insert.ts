/*
 * Dependencies and groups. In: jobs with parents. Out: links in the table, and released jobs.
 * The store releases children in a follow-up of the end of their parent. Read this file (rows and links of a call), then
 * ../follow-up/link-events.ts (what happens after a release). ../maintain/table-sweepers.ts repairs links.
 */
import type { Dependency } from '../../core/dependencies.js';
import { InvalidOptionsError } from '../../core/errors.js';
import type { LinkedInsert, LinkInsert } from '../../store/links/link-store.js';
import { WATCHED } from '../../store/jobs/job-row.js';
import type { NewJobRow } from './new-job-row.js';
import { BLOCKED_UNTIL } from '../../store/links/link-store.js';
import type { JobInsert } from '../../store/jobs/job-records.js';

/** Returns the links of jobs with dependencies. */
export function toLinks(rows: readonly JobInsert[], dependencies: readonly Dependency[]): LinkInsert[] {
  return dependencies.map(({ child, parent, ref, mode, path }, position) => {
    const parentId = typeof parent === 'number' ? rows[parent]!.id : parent;
    return { parentId, childId: rows[child]!.id, mode, ref, position, path };
  });
}

/**
 * Marks the parents of links as watched, and blocks their children, except groups.
 *
 * @throws InvalidOptionsError for a child whose payload or start a later call could change.
 */
export function linkRows(rows: readonly NewJobRow[], links: readonly LinkInsert[]): LinkedInsert {
  const parents = new Set(links.map(({ parentId }) => parentId));
  const holding = findHolders(rows, links);
  const blocked = new Map(links.filter(({ mode }) => mode !== 'member').map(({ childId, path }) => [childId, path]));
  const startTimes = new Map<string, Date>();
  for (const row of rows) {
    const isBlocked = blocked.has(row.id);
    if (isBlocked && row.uniqueMode && (row.uniqueMode.untilStarted || row.uniqueMode.debounce)) {
      throw new InvalidOptionsError(blocked.get(row.id)!, "cannot be combined with debounce or uniqueUntil: 'started'");
    }
    if (isBlocked && row.runAt) {
      startTimes.set(row.id, row.runAt);
    }
    row.watched = holding.has(row.id) ? WATCHED.always : parents.has(row.id) ? WATCHED.unlessCompleted : undefined;
    row.runAt = isBlocked ? BLOCKED_UNTIL : row.runAt;
  }
  return { jobs: rows, links, startTimes };
}

/** The parents of the call that hold tokens. The store gives the token of each child to its parent with the highest id. */
function findHolders(rows: readonly NewJobRow[], links: readonly LinkInsert[]): ReadonlySet<string> {
  const holders = new Map<string, string>();
  const own = new Set(rows.map(({ id }) => id));
  for (const { parentId, childId } of links.filter((link) => own.has(link.parentId))) {
    holders.set(childId, [holders.get(childId) ?? '', parentId].sort().at(-1)!);
  }
  return new Set(holders.values());
}
