import type { Retention } from '../../core/retention.js';
import { toRetentionAges } from './batch-json.js';
import type { LinkTable } from '../links/link-table.js';
import { toExpiredJob, toRescue } from './row-mapper.js';
import type { SqlQuery } from '../runtime/sql-runner.js';
import { singleStatement } from '../runtime/sql-runner.js';
import type { ExpiredJob, PrunedPage, PrunePage, Rescue } from './job-records.js';
import { EXPIRE, EXPIRE_WATCHED, PRUNE, RESCUE, RESCUE_WATCHED } from './maintenance.postgres.js';

/** Ends attempts whose lease has expired and jobs that have not started in time, and deletes old jobs. */
export class MaintenanceWriter {
  constructor(
    private readonly query: SqlQuery,
    private readonly links: LinkTable,
  ) {}

  async rescue(limit: number, lowerBound: string | null): Promise<Rescue> {
    const params = [limit, lowerBound ?? '-infinity'];
    const rows = await this.query(RESCUE, params);
    if (rows.at(-1)!.watched === null) {
      return toRescue(rows);
    }
    const others = await this.links.endBy(() => singleStatement(RESCUE_WATCHED, params));
    return toRescue([...rows.slice(0, -1), ...others]);
  }

  async expire(limit: number, lowerBound: string | null = null): Promise<ExpiredJob[]> {
    const params = [limit, lowerBound ?? '-infinity'];
    const rows = await this.query(EXPIRE, params);
    const others =
      rows.at(-1)!.watched === null ? [] : await this.links.endBy(() => singleStatement(EXPIRE_WATCHED, params));
    return [...rows, ...others].filter(({ id }) => id !== null).map(toExpiredJob);
  }

  async prune(retention: Retention | null, { after, rows, except = [] }: PrunePage): Promise<PrunedPage> {
    const { json, youngestMs } = toRetentionAges(retention);
    const [page] = await this.query(PRUNE, [after, rows, json, youngestMs, except]);
    const ids = JSON.parse((page!.ids ?? '[]') as string) as string[];
    return { ids, removed: ids.length, next: page!.next as string | null };
  }
}
