import type { Retention } from '../../core/retention.js';
import { toRetentionAges } from './batch-json.js';
import type { LinkTable } from '../links/link-table.js';
import { nextTurn } from '../runtime/real-timers.js';
import { toExpiredJob, toRescue } from './row-mapper.js';
import type { SqlQuery } from '../runtime/sql-runner.js';
import { singleStatement } from '../runtime/sql-runner.js';
import type { ExpiredJob, PrunedPage, PrunePage, Rescue } from './job-records.js';
import { toSqliteTime } from './job-row.sqlite.js';
import {
  EXPIRE,
  EXPIRE_WATCHED,
  HAS_EXPIRED,
  HAS_EXPIRED_WATCHED,
  HAS_OVERDUE_WATCHED,
  PRUNE,
  PRUNE_PAGE,
  RESCUE,
  RESCUE_WATCHED,
} from './maintenance.sqlite.js';

/**
 * Ends attempts whose lease has expired and jobs that have not started in time, and deletes old jobs. Reads first, since a read takes no
 * lock.
 */
export class MaintenanceWriter {
  constructor(
    private readonly read: SqlQuery,
    private readonly write: SqlQuery,
    private readonly links: LinkTable,
  ) {}

  async rescue(limit: number, lowerBound: string | null): Promise<Rescue> {
    const from = toLowerBound(lowerBound);
    const [found] = await this.read(HAS_EXPIRED, [from]);
    if (!found!.has_expired) {
      return toRescue([found!]);
    }
    const rescued = await this.write(RESCUE, [limit, from]);
    const [watched] = await this.read(HAS_EXPIRED_WATCHED, [from]);
    const others = watched!.has_expired
      ? await this.links.endBy(() => singleStatement(RESCUE_WATCHED, [limit, from]))
      : [];
    return toRescue([...rescued, ...others, found!]);
  }

  async expire(limit: number, lowerBound: string | null): Promise<ExpiredJob[]> {
    const from = toLowerBound(lowerBound);
    const rows = await this.write(EXPIRE, [limit, from]);
    const [watched] = await this.read(HAS_OVERDUE_WATCHED, [from]);
    const others = watched!.has_overdue
      ? await this.links.endBy(() => singleStatement(EXPIRE_WATCHED, [limit, from]))
      : [];
    return [...rows, ...others].map(toExpiredJob);
  }

  async prune(retention: Retention | null, { after, rows, except = [] }: PrunePage): Promise<PrunedPage> {
    const { json, youngestMs } = toRetentionAges(retention);
    const params = [after ?? '', rows, json, JSON.stringify(except)];
    // The pruner reads many pages in a row, and each read blocks the event loop.
    await nextTurn();
    const [page] = await this.read(PRUNE_PAGE, [...params, youngestMs]);
    const removed = page!.has_aged ? await this.write(PRUNE, params) : [];
    const ids = removed.map(({ id }) => id as string);
    return { ids, removed: ids.length, next: page!.has_more ? (page!.last as string) : null };
  }
}

/** The empty text comes before all times. */
function toLowerBound(lowerBound: string | null): string {
  return lowerBound === null ? '' : toSqliteTime(lowerBound);
}
