import { describeValue } from './error-text.js';
import { InvalidOptionsError } from './errors.js';
import type { JobStatus } from './job-state.js';
import { parseJobId } from './job-state.js';
import { optional, readOptions, recordCheck, text } from './option-checks.js';
import type { AnyNewJob } from './job-topic.js';

/** A group of jobs, and how far its members are. */
export interface JobGroup {
  readonly id: string;
  readonly name: string | null;
  /** Number of members. The callbacks are no members. */
  readonly total: number;
  readonly pending: number;
  readonly processing: number;
  readonly completed: number;
  readonly failed: number;
  /** Members that were cancelled or deleted. */
  readonly cancelled: number;
  readonly created: Date;
  /** When the last member ended; `null` before. */
  readonly finished: Date | null;
}

/** A job that waits for a group. */
export interface GroupCallbackJob {
  readonly kind: GroupCallback;
  readonly id: string;
  /** `null` for a deleted job. */
  readonly topic: string | null;
  readonly status: JobStatus | 'deleted';
}

/** A topic of members or of a callback of a group. */
export interface GroupTopic {
  readonly groupId: string;
  readonly topic: string;
  /** How many members with this topic exist; 0 for a callback. */
  readonly members: number;
}

/** Options of `enqueueGroup`. */
export interface GroupOptions {
  /** Adds the jobs to this unfinished group. A running member finds its group in `job.groupId`. Default: a new group. */
  id?: string | undefined;
  /** A name for people, 1 to 255 characters. */
  name?: string | undefined;
  /** Runs when all members have completed. */
  onSuccess?: AnyNewJob | undefined;
  /** Runs when all members have ended, whatever their statuses. */
  onFinish?: AnyNewJob | undefined;
  /** Runs when the first member fails for good. */
  onFailure?: AnyNewJob | undefined;
}

/** Default and maximum page size. */
export const GROUPS_PAGE = 20;
export const GROUPS_PAGE_MAX = 100;

/** The member of a job's metadata that holds the id of its group. */
export const GROUP_METADATA = '$group';

export const GROUP_CALLBACKS = ['onSuccess', 'onFinish', 'onFailure'] as const;

export type GroupCallback = (typeof GROUP_CALLBACKS)[number];

/** {@link GroupOptions}, checked. The callbacks are checked with the jobs. */
export interface GroupSettings {
  readonly id: string | undefined;
  readonly name: string | null;
  readonly callbacks: readonly { readonly kind: GroupCallback; readonly job: AnyNewJob }[];
}

const callback = optional(recordCheck, 'a job that waits for the group');

/** Describes each option of `enqueueGroup`. */
export const GROUP_OPTIONS = {
  id: optional(text(255), 'adds the jobs to this unfinished group'),
  name: optional(text(255), 'a name for people'),
  onSuccess: callback,
  onFinish: callback,
  onFailure: callback,
};

/** Checks the options of a group. @throws InvalidOptionsError */
export function readGroupOptions(options: GroupOptions): GroupSettings {
  const { id, name } = readOptions(GROUP_OPTIONS, options);
  const callbacks = GROUP_CALLBACKS.flatMap((kind) => {
    const job = options[kind];
    return job === undefined ? [] : [{ kind, job }];
  });
  if (id === undefined) {
    return { id, name: name ?? null, callbacks };
  }
  const [fixed] = [...(name === undefined ? [] : ['name']), ...callbacks.map(({ kind }) => kind)];
  if (fixed !== undefined) {
    throw new InvalidOptionsError(fixed, 'belongs to a new group; give either it or id');
  }
  const known = parseJobId(id);
  if (known === undefined) {
    throw new InvalidOptionsError('id', `expected the id of a group, got ${describeValue(id)}`);
  }
  return { id: known, name: null, callbacks };
}
