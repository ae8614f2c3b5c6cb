import type { GroupTopic, JobGroup } from '../../core/job-group.js';
import type { GroupStore } from '../job-store.js';
import type { LinkedCallback } from './link-store.js';
import type { SqlQuery, SqlRow } from '../runtime/sql-runner.js';
import type { SweptPage } from '../jobs/job-records.js';
import { SWEPT_ROWS } from '../jobs/job-records.js';
import { FIRST_ID } from '../jobs/job-row.js';

interface GroupStatements {
  readonly GET_GROUP: string;
  readonly LIST_GROUPS: string;
  readonly LIST_FINISHED_GROUPS: string;
  readonly LIST_UNFINISHED_GROUPS: string;
  readonly GROUP_CREATOR: string;
  readonly LIST_CALLBACKS: string;
  readonly GROUP_TOPICS: string;
  readonly UNFINISHED_MEMBERS: string;
  readonly GROUPS_PAGE: string;
  readonly DELETE_GROUPS: string;
}

/** Reads and prunes groups. `LinkStore` writes them, together with the links of their members. */
export class GroupTable implements GroupStore {
  constructor(
    private readonly statements: GroupStatements,
    private readonly read: SqlQuery,
    private readonly write: SqlQuery,
  ) {}

  async get(id: string): Promise<JobGroup | undefined> {
    return toGroups(await this.read(this.statements.GET_GROUP, [id]))[0];
  }

  async list(before: string | null, limit: number, finished: boolean | null): Promise<JobGroup[]> {
    const { LIST_GROUPS, LIST_FINISHED_GROUPS, LIST_UNFINISHED_GROUPS } = this.statements;
    const statement = finished === null ? LIST_GROUPS : finished ? LIST_FINISHED_GROUPS : LIST_UNFINISHED_GROUPS;
    return toGroups(await this.read(statement, [before, limit]));
  }

  async creator(id: string): Promise<string | null> {
    const [row] = await this.read(this.statements.GROUP_CREATOR, [id]);
    return (row?.created_by ?? null) as string | null;
  }

  async callbacks(id: string): Promise<LinkedCallback[]> {
    const rows = await this.read(this.statements.LIST_CALLBACKS, [id]);
    return rows.map(({ mode, id, topic, status }) => ({ mode, id, topic, status }) as LinkedCallback);
  }

  async topics(ids: readonly string[]): Promise<GroupTopic[]> {
    const rows = await this.read(this.statements.GROUP_TOPICS, [JSON.stringify(ids)]);
    return rows.map((row) => ({
      groupId: row.group_id as string,
      topic: row.topic as string,
      members: Number(row.members),
    }));
  }

  async prune(after: string | null, limit = SWEPT_ROWS): Promise<SweptPage> {
    const rows = await this.read(this.statements.GROUPS_PAGE, [after ?? FIRST_ID, limit]);
    const ids = rows.filter((row) => row.is_abandoned).map(({ id }) => id);
    if (ids.length > 0) {
      await this.write(this.statements.DELETE_GROUPS, [JSON.stringify(ids)]);
    }
    return { removed: ids.length, next: rows.length < limit ? null : (rows.at(-1)!.id as string) };
  }

  async unfinishedMembers(id: string, after: string | null, limit: number): Promise<string[]> {
    const rows = await this.read(this.statements.UNFINISHED_MEMBERS, [id, after ?? FIRST_ID, limit]);
    return rows.map((row) => row.id as string);
  }
}

type Writable<T> = { -readonly [Member in keyof T]: T[Member] };

/** One row for each status of a group, and a row without a status for an empty one. */
function toGroups(rows: readonly SqlRow[]): JobGroup[] {
  const groups = new Map<string, Writable<JobGroup>>();
  for (const row of rows) {
    const group = groups.get(row.id as string) ?? toEmptyGroup(row);
    groups.set(group.id, group);
    if (row.status !== null) {
      const status = row.status === 'deleted' ? 'cancelled' : (row.status as 'pending');
      group[status] += Number(row.jobs);
      group.total += Number(row.jobs);
    }
  }
  return [...groups.values()];
}

function toEmptyGroup({ id, name, created, finished }: SqlRow): Writable<JobGroup> {
  return {
    id: id as string,
    name: name as string | null,
    total: 0,
    pending: 0,
    processing: 0,
    completed: 0,
    failed: 0,
    cancelled: 0,
    created: new Date(Number(created)),
    finished: finished === null ? null : new Date(Number(finished)),
  };
}
