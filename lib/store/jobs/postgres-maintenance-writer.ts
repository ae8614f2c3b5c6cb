import type { Retention } from '../../core/retention.js';
import { toRetentionAges } from './batch-json.js';
import type { LinkTable } from '../links/link-table.js';
import { selectOwing } from './batch-results.js';
import { toExpiredJob, toRescue } from './row-mapper.js';
import type { SqlQuery } from '../runtime/sql-runner.js';
import type { ExpiredJob, PrunedPage, PrunePage, Rescue } from './job-records.js';
import { EXPIRE, PRUNE, RESCUE } from './maintenance.postgres.js';

/** Ends attempts whose lease has expired and jobs that have not started in time, and deletes old jobs. */
export class MaintenanceWriter {
  constructor(
    private readonly query: SqlQuery,
    private readonly links: LinkTable,
  ) {}

  async rescue(limit: number, lowerBound: string | null): Promise<Rescue> {
    const rows = await this.query(RESCUE, [limit, lowerBound ?? '-infinity']);
    this.links.follow(selectOwing(rows));
    return toRescue(rows);
  }

  async expire(limit: number, lowerBound: string | null = null): Promise<ExpiredJob[]> {
    const rows = await this.query(EXPIRE, [limit, lowerBound ?? '-infinity']);
    this.links.follow(selectOwing(rows));
    return rows.map(toExpiredJob);
  }

  async prune(retention: Retention | null, { after, rows, except = [] }: PrunePage): Promise<PrunedPage> {
    const { json, youngestMs } = toRetentionAges(retention);
    const [page] = await this.query(PRUNE, [after, rows, json, youngestMs, except]);
    const ids = JSON.parse((page!.ids ?? '[]') as string) as string[];
    return { ids, removed: ids.length, next: page!.next as string | null };
  }
}
