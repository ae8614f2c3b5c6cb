import type { Retention } from '../../core/retention.js';
import { toRetentionAges } from './batch-json.js';
import type { LinkTable } from '../links/link-table.js';
import { nextTurn } from '../runtime/real-timers.js';
import { selectOwing } from './batch-results.js';
import { toExpiredJob, toRescue } from './row-mapper.js';
import type { SqlQuery, SqlRow, SqlScript } from '../runtime/sql-runner.js';
import type { ExpiredJob, PrunedPage, PrunePage, Rescue } from './job-records.js';
import { toSqliteTime } from './job-row.sqlite.js';
import { EXPIRE, HAS_EXPIRED, KEEP_OUTCOMES_OF_PRUNED, PRUNE, PRUNE_PAGE, RESCUE } from './maintenance.sqlite.js';

/**
 * Ends attempts whose lease has expired and jobs that have not started in time, and deletes old jobs. Reads first, since a read takes no
 * lock.
 */
export class MaintenanceWriter {
  constructor(
    private readonly read: SqlQuery,
    private readonly write: SqlQuery,
    private readonly transact: <T>(script: () => SqlScript<T>) => Promise<T>,
    private readonly links: LinkTable,
  ) {}

  async rescue(limit: number, lowerBound: string | null): Promise<Rescue> {
    const from = toLowerBound(lowerBound);
    const [found] = await this.read(HAS_EXPIRED, [from]);
    if (!found!.has_expired) {
      return toRescue([found!]);
    }
    const rescued = await this.write(RESCUE, [limit, from]);
    this.links.follow(selectOwing(rescued));
    return toRescue([...rescued, found!]);
  }

  async expire(limit: number, lowerBound: string | null): Promise<ExpiredJob[]> {
    const rows = await this.write(EXPIRE, [limit, toLowerBound(lowerBound)]);
    this.links.follow(selectOwing(rows));
    return rows.map(toExpiredJob);
  }

  async prune(retention: Retention | null, { after, rows, except = [] }: PrunePage): Promise<PrunedPage> {
    const { json, youngestMs } = toRetentionAges(retention);
    const params = [after ?? '', rows, json, JSON.stringify(except)];
    // The pruner reads many pages in a row, and each read blocks the event loop.
    await nextTurn();
    const [page] = await this.read(PRUNE_PAGE, [...params, youngestMs]);
    const removed = page!.has_parents
      ? await this.transact(() => pruneParentsScript(params))
      : page!.has_aged
        ? await this.write(PRUNE, params)
        : [];
    const ids = removed.map(({ id }) => id as string);
    return { ids, removed: ids.length, next: page!.has_more ? (page!.last as string) : null };
  }
}

function* pruneParentsScript(params: readonly unknown[]): SqlScript<readonly SqlRow[]> {
  yield { sql: KEEP_OUTCOMES_OF_PRUNED, params };
  return yield { sql: PRUNE, params };
}

/** The empty text comes before all times. */
function toLowerBound(lowerBound: string | null): string {
  return lowerBound === null ? '' : toSqliteTime(lowerBound);
}
