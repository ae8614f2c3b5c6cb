import { createId } from '../runtime/create-id.js';
import { readDependencies } from '../../core/dependencies.js';
import { describeValue } from '../../core/error-text.js';
import { GroupNotFoundError, InvalidOptionsError } from '../../core/errors.js';
import type {
  GroupCallback,
  GroupCallbackJob,
  GroupOptions,
  GroupSettings,
  GroupTopic,
  JobGroup,
} from '../../core/job-group.js';
import { GROUP_CALLBACKS, GROUP_METADATA, GROUPS_PAGE, readGroupOptions } from '../../core/job-group.js';
import type { Job } from '../../core/job.js';
import type { Actor } from '../../core/job-action.js';
import { parseJobId } from '../../core/job-state.js';
import type { AnyNewJob } from '../../core/job-topic.js';
import type { StoreTransaction } from '../../store/transactions/application-transactions.js';
import type { GroupInsert, LinkedInsert, LinkInsert, LinkMode } from '../../store/links/link-store.js';
import type { JobActions } from './job-admin.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import type { Enqueuer } from '../enqueue/enqueuer.js';
import type { NewJobRow } from '../enqueue/new-job-row.js';
import { linkRows, toLinks } from '../enqueue/linked-insert.js';

type GroupAdminParts = Pick<EngineParts, 'store'> & { readonly enqueuer: Enqueuer; readonly actions: JobActions };

/** Members that one statement cancels. */
const CANCEL_JOBS = 200;

const CALLBACK_MODES: Readonly<Record<GroupCallback, LinkMode>> = {
  onSuccess: 'cancel',
  onFinish: 'run',
  onFailure: 'failure',
};

/** Which groups to list. */
interface GroupQuery {
  before?: string | undefined;
  limit?: number | undefined;
  finished?: boolean | undefined;
}

/** Stores, reads and cancels groups of jobs. */
export class GroupAdmin {
  constructor(private readonly parts: GroupAdminParts) {}

  /**
   * Stores the jobs of a group and its callbacks, all or none. Returns the members in the order of `jobs`. An empty group ends at once.
   *
   * @param createdBy the id of the caller over HTTP, for `creator`.
   * @throws InvalidOptionsError for an invalid option, or a group that has finished; the errors of `enqueueMany`.
   */
  async enqueue(
    jobs: readonly AnyNewJob[],
    options: GroupOptions = {},
    tx?: StoreTransaction,
    createdBy: string | null = null,
  ): Promise<{ id: string; jobs: Job[] }> {
    if (!Array.isArray(jobs)) {
      throw new InvalidOptionsError('jobs', `expected a list of jobs, got ${describeValue(jobs)}`);
    }
    const members = jobs as readonly AnyNewJob[];
    const settings = readGroupOptions(options);
    const id = settings.id ?? createId();
    const dependencies = readDependencies(members);
    settings.callbacks.forEach(({ kind, job }) => checkCallback(kind, job));
    const stored = await this.parts.enqueuer.enqueueLinked(
      [...members, ...settings.callbacks.map(({ job }) => job)],
      [...members.map((_job, index) => `jobs[${index}]`), ...settings.callbacks.map(({ kind }) => kind)],
      (rows) =>
        toGroupInsert(rows, toLinks(rows, dependencies), {
          ...settings,
          id,
          createdBy,
          isNew: settings.id === undefined,
        }),
      tx,
      new Map([[GROUP_METADATA, JSON.stringify(id)]]),
    );
    return { id, jobs: stored.slice(0, members.length) };
  }

  /** Returns how far the members are, or `null` when there is no group with this id. */
  async get(id: string): Promise<JobGroup | null> {
    const normal = parseJobId(id);
    return normal === undefined ? null : ((await this.parts.store.groups.get(normal)) ?? null);
  }

  /**
   * Returns groups, newest first.
   *
   * @param options.before the `id` of the last group of the previous page.
   * @param options.limit 1 to 100. Default 20.
   * @param options.finished only groups whose members have all ended, or whose members have not. Default: both.
   */
  list({ before, limit = GROUPS_PAGE, finished }: GroupQuery = {}): Promise<JobGroup[]> {
    return this.parts.store.groups.list(before ?? null, limit, finished ?? null);
  }

  /** Returns the id of the caller over HTTP who has created a group; `null` for any other group. */
  creator(id: string): Promise<string | null> {
    return this.parts.store.groups.creator(id);
  }

  /** Returns the jobs that wait for a group. */
  async callbacks(id: string): Promise<GroupCallbackJob[]> {
    const links = await this.parts.store.groups.callbacks(id);
    return links.map(({ mode, id: jobId, topic, status }) => {
      const kind = GROUP_CALLBACKS.find((each) => CALLBACK_MODES[each] === mode)!;
      return { kind, id: jobId, topic, status: status ?? 'deleted' };
    });
  }

  /** Returns each topic of the members and callbacks of these groups that exist, with the number of members. */
  topics(ids: readonly string[]): Promise<GroupTopic[]> {
    return this.parts.store.groups.topics(ids);
  }

  /**
   * Cancels the members that have not ended, and returns the group. Running members end `cancelled` when their handlers have ended.
   *
   * @param actor recorded in the `actions` of each member. Default: the application.
   * @throws GroupNotFoundError
   */
  async cancel(id: string, actor?: Actor): Promise<JobGroup> {
    const { store, actions } = this.parts;
    const normal = parseJobId(id);
    for (let last: string | undefined | null = null; normal !== undefined && last !== undefined;) {
      const ids: readonly string[] = await store.groups.unfinishedMembers(normal, last, CANCEL_JOBS);
      if (ids.length > 0) {
        await actions.run('cancel', ids, { actor });
      }
      last = ids[CANCEL_JOBS - 1];
    }
    const group = await this.get(id);
    if (!group) {
      throw new GroupNotFoundError(id);
    }
    return group;
  }
}

function checkCallback(kind: GroupCallback, job: AnyNewJob): void {
  const member = (['ref', 'dependsOn', 'onParentFailure'] as const).find((name) => job[name] !== undefined);
  if (member !== undefined) {
    throw new InvalidOptionsError(`${kind}.${member}`, 'is not for callbacks: they wait for their group');
  }
}

/** The rows are those of the members, then those of the callbacks. */
function toGroupInsert(
  rows: readonly NewJobRow[],
  links: readonly LinkInsert[],
  { callbacks, ...group }: Pick<GroupSettings, 'callbacks'> & GroupInsert,
): LinkedInsert {
  const { id } = group;
  const count = rows.length - callbacks.length;
  const members = rows.slice(0, count).map((row, position): LinkInsert => {
    return { parentId: row.id, childId: id, mode: 'member', ref: null, position, path: `jobs[${position}]` };
  });
  const waiting = callbacks.map(({ kind }, index): LinkInsert => {
    const childId = rows[count + index]!.id;
    return { parentId: id, childId, mode: CALLBACK_MODES[kind], ref: null, position: 0, path: kind };
  });
  return { ...linkRows(rows, [...links, ...members, ...waiting]), group };
}
