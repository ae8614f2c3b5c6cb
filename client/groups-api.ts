import type { ApiRequest, CallOptions, EitherCase, JobOptions, NewJob } from './call-options.js';
import { toFields } from './call-options.js';
import type { EnqueuedGroup, JobGroup, JobGroupList, JobGroupWithCallbacks } from './group-wire.js';

/** A job that starts when a group ends. */
export type GroupCallback = EitherCase<JobOptions> & { topic: string; payload: unknown };

/** Options of {@link GroupsApi.enqueue}. */
export type GroupOptions = EitherCase<{
  /** Adds the jobs to this unfinished group. Default: a new group. */
  id?: string | undefined;
  /** A name for people. */
  name?: string | undefined;
  /** Starts when all jobs have completed. */
  onSuccess?: GroupCallback | undefined;
  /** Starts when all jobs have ended. */
  onFinish?: GroupCallback | undefined;
  /** Starts when the first job fails for good. */
  onFailure?: GroupCallback | undefined;
}>;

/** Filter of {@link GroupsApi.list}. */
export interface GroupFilter {
  /** The `next_before` of the previous page. */
  before?: string | undefined;
  /** Page size, 1 to 100. Default 20. */
  limit?: number | undefined;
  /** Whether all members have ended. Default: both. */
  finished?: boolean | undefined;
}

/** The calls for groups: `client.groups`. */
export class GroupsApi {
  readonly #request: <T>(request: ApiRequest) => Promise<T>;

  constructor(request: <T>(request: ApiRequest) => Promise<T>) {
    this.#request = request;
  }

  /**
   * Stores up to 1,000 jobs and the callbacks of their group, all or none.
   * @example await jobs.groups.enqueue(mails, { onFinish: { topic: 'report', payload: null } });
   */
  async enqueue(
    jobs: readonly NewJob[],
    options: GroupOptions & CallOptions = {},
    { signal = options.signal }: CallOptions = {},
  ): Promise<EnqueuedGroup> {
    const { signal: _signal, ...group } = options;
    const fields = Object.entries(toFields(group)).map(([name, value]) => [name, toFieldsOfObject(value)] as const);
    const body = { jobs: jobs.map(toFields), ...Object.fromEntries(fields) };
    return this.#request({ method: 'POST', path: '/groups', body, signal });
  }

  /** Returns one page of groups, newest first. */
  async list(filter: GroupFilter & CallOptions = {}, options: CallOptions = filter): Promise<JobGroupList> {
    const { signal: _, ...query } = filter;
    return this.#request({ method: 'GET', path: '/groups', query: toFields(query), signal: options.signal });
  }

  /** Returns one group and its callbacks. @throws JobsApiError with status 404 if there is none */
  async get(id: string, { signal }: CallOptions = {}): Promise<JobGroupWithCallbacks> {
    return this.#request({ method: 'GET', path: toPath(id), signal });
  }

  /** Cancels the waiting jobs of a group, and asks the running ones to end. */
  async cancel(id: string, { signal }: CallOptions = {}): Promise<JobGroup> {
    return this.#request({ method: 'POST', path: `${toPath(id)}/cancel`, signal });
  }
}

function toFieldsOfObject(value: unknown): unknown {
  return typeof value === 'object' && value !== null ? toFields(value) : value;
}

/** Rejects an empty id, whose path is that of the list, and dots, which a URL resolves to the parent folder. */
function toPath(id: string): string {
  if (typeof id !== 'string' || /^\.{0,2}$/.test(id)) {
    throw new TypeError(`id: expected the id of a group, got ${JSON.stringify(id)}`);
  }
  return `/groups/${encodeURIComponent(id)}`;
}
