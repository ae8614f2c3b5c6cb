import type { Cursor, FollowUp, FollowUpStatements } from './follow-up-script.js';
import { planFollowUp, toLink } from './follow-up-script.js';
import type { ParentEnd } from './link-store.js';
import type { SqlQuery, SqlRow } from '../runtime/sql-runner.js';

/** The statements of a database that repair links. Sets are JSON arrays. */
export interface RepairStatements extends FollowUpStatements {
  readonly LINKS_PAGE: string;
  readonly DELETE_LINKS: string;
}

const NOTHING: readonly Cursor[] = [];

/**
 * Finds what is wrong in a page of links, with the states of both ends: children that do not exist, and tokens of parents that something
 * else has deleted.
 */
export async function planRepair(
  statements: RepairStatements,
  read: SqlQuery,
  rows: readonly SqlRow[],
  linksMax: number,
): Promise<{ readonly orphans: readonly string[]; readonly plan: FollowUp | null }> {
  const orphans = rows
    .filter((row) => row.child_status === null && !row.child_is_group)
    .map(({ child_id }) => child_id as string);
  const lost = rows
    .filter(
      (row) => Boolean(row.holds) && Boolean(row.is_waiting) && row.parent_status === null && !row.parent_is_group,
    )
    .slice(0, linksMax);
  const links = lost.map((row) => ({ ...toLink(row), outcome: (row.outcome ?? 'deleted') as ParentEnd }));
  const absent = [...new Set(links.map(({ parentId }) => parentId))];
  const jobs = { complete: [], partial: [], versions: new Map<string, string>(), absent, rest: NOTHING };
  const plan = links.length === 0 ? null : await planFollowUp(statements, read, links, jobs);
  return { orphans: [...new Set(orphans)].sort(), plan };
}
