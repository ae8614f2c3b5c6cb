import type { GraphLink, OnParentFailure, ParentJob } from '../../core/dependencies.js';
import type { JobStatus } from '../../core/job-state.js';
import type { StoredDeadLetter } from './dead-letter-script.js';
import type {
  ActionRequest,
  ActionResult,
  InsertedJob,
  JobInsert,
  RequeueChanges,
  SweptPage,
} from '../jobs/job-records.js';

/** The due time of a job that waits for its parents. A job is blocked while it is pending, has this due time, and has a link. */
export const BLOCKED_UNTIL = new Date('9999-12-31T00:00:00Z');
/** The latest due time of a job that does not wait any more. */
export const LATEST_START = new Date('9999-12-30T00:00:00Z');

/** Whether this is the due time of a job that waits for parents, or was cancelled while it did. `redact` may return a text or nothing. */
export function isNeverDue(runAt: Date | string | undefined): boolean {
  return runAt !== undefined && new Date(runAt).getTime() === BLOCKED_UNTIL.getTime();
}

/**
 * How the end of a parent affects a child. `member`: the child is a group. `failure`: the parent is a group, and the child is its
 * `onFailure` job.
 */
export type LinkMode = OnParentFailure | 'member' | 'failure';

/** A job that waits for a group. */
export interface LinkedCallback {
  readonly mode: LinkMode;
  readonly id: string;
  /** `null`, like the status, for a deleted job. */
  readonly topic: string | null;
  readonly status: JobStatus | null;
}

/** A new link between a job and one that waits for it. */
export interface LinkInsert {
  readonly parentId: string;
  /** A job of the same call, or a group. */
  readonly childId: string;
  readonly mode: LinkMode;
  readonly ref: string | null;
  /** Order of the parents of one child. */
  readonly position: number;
  /** The option of the call that names the parent, for errors. */
  readonly path: string;
}

/** Jobs to insert together with their links. */
export interface LinkedInsert {
  readonly jobs: readonly JobInsert[];
  readonly links: readonly LinkInsert[];
  /** The group that gets the jobs with a `member` link. */
  readonly group?: GroupInsert;
  /** The earliest start of each blocked job that has one, by id. */
  readonly startTimes: ReadonlyMap<string, Date>;
}

export interface GroupInsert {
  readonly id: string;
  readonly name: string | null;
  /** The id of the caller over HTTP who creates the group. */
  readonly createdBy: string | null;
  /** `false`: the group exists and must be unfinished. */
  readonly isNew: boolean;
}

export interface LinkedInsertResult {
  readonly inserted: InsertedJob[];
  readonly changes: LinkChanges;
}

/** What the end of jobs has done to other jobs: to the children of parents, and to topics of dead letters. */
export interface LinkChanges {
  readonly released: readonly ReleasedJob[];
  readonly cancelled: readonly CancelledJob[];
  /** Jobs that were inserted because others have failed for good. */
  readonly deadLetters?: readonly StoredDeadLetter[];
  /** Jobs that have ended and owe a follow-up: `LinkStore.report` sees to it. */
  readonly owed?: readonly string[];
}

/** How a parent has ended. A group is `failing` from its first failed member on. */
export type ParentEnd = 'completed' | 'failed' | 'cancelled' | 'deleted' | 'failing';

export interface ReleasedJob {
  readonly id: string;
  readonly topic: string;
}

export interface CancelledJob {
  readonly id: string;
  readonly topic: string;
  readonly attempt: number;
}

/** A job and the number of parents for which it waits. */
export interface BlockedJob {
  readonly id: string;
  readonly waitingOn: number;
}

/** The result of a re-queue, and the jobs that wait again because of it. */
export interface RequeuedDependants {
  readonly result: ActionResult;
  readonly dependants: readonly ReleasedJob[];
}

/** What a page of the repair has found. */
export interface RepairedPage extends SweptPage {
  readonly changes: LinkChanges;
}

/**
 * Links between jobs. The statement that ends a job does not know them: a follow-up of small transactions releases or cancels its children,
 * finishes groups and inserts dead letters. See follow-up-script.ts.
 */
export interface LinkStore {
  /** Calls `listener` after each commit of this store that has changed children. */
  observe(listener: (changes: LinkChanges) => void): void;
  /**
   * Stores jobs and their links, all or none. Children of parents that have ended are released or cancelled at once. With `tx`, a
   * `StoreTransaction`, the caller reports the changes after its commit.
   *
   * @throws InvalidOptionsError for a parent that does not exist.
   */
  insert(request: LinkedInsert, tx?: object): Promise<LinkedInsertResult>;
  /** Reports changes that the caller's transaction has committed, and follows up the jobs that owe it. */
  report(changes: LinkChanges): void;
  /** Whether no follow-up of this process is under way. */
  readonly isIdle: boolean;
  /** Resolves when no follow-up of this process is under way. */
  idle(): Promise<void>;
  /** Follows up ended jobs whose process has not done so within a second, a page with each call. Returns how many it has found. */
  followOwed(olderMs?: number): Promise<number>;
  /** Returns why follow-ups of this process have failed since the last call, if any has. An outage of the database does not count. */
  takeFailure(): Error | undefined;
  /** Returns the parents of a job in the order in which it names them. */
  parents(childId: string): Promise<ParentJob[]>;
  /** Returns the links of the jobs to their parents and children, groups left out. At most `limit` for each direction. */
  linksOf(ids: readonly string[], limit: number): Promise<GraphLink[]>;
  /** Returns those of the jobs that are blocked. */
  blocked(ids: readonly string[]): Promise<BlockedJob[]>;
  /** Re-queues a job. The jobs that were cancelled because of it wait for it again. */
  requeueDependants(id: string, changes?: RequeueChanges, request?: ActionRequest): Promise<RequeuedDependants>;
  /** Passes on the tokens of parents whose rows something else has deleted. Deletes links of deleted children. */
  repair(after: string | null, limit?: number): Promise<RepairedPage>;
  /** Deletes the links of deleted children. The links of deleted parents stay as long as their children. */
  deleteOf(ids: readonly string[]): Promise<void>;
}
