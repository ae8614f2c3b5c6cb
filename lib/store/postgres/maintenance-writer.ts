import type { Retention } from '../../core/options.js';
import { toRetentionAges } from '../batch-json.js';
import type { LinkTable } from '../link-table.js';
import { toRescue } from '../row-mapper.js';
import type { SqlQuery } from '../sql-runner.js';
import { singleStatement } from '../sql-runner.js';
import type { PrunedPage, PrunePage, Rescue } from '../store-records.js';
import { PRUNE, RESCUE, RESCUE_WATCHED } from './sql/maintenance.js';

/** Ends attempts whose lease has expired, and deletes old jobs. */
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
    const others = await this.links.rescue(() => singleStatement(RESCUE_WATCHED, params));
    return toRescue([...rows.slice(0, -1), ...others]);
  }

  async prune(retention: Retention | null, { after, rows, except = [] }: PrunePage): Promise<PrunedPage> {
    const { json, youngestMs } = toRetentionAges(retention);
    const [page] = await this.query(PRUNE, [after, rows, json, youngestMs, except]);
    return { removed: Number(page!.removed), next: page!.next as string | null };
  }
}
