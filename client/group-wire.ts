import type { EnqueueRequest, Job, JobStatus } from './wire.js';

/** Body of `POST /enqueue-many`: at most 1,000 jobs. All are stored, or none. */
export interface EnqueueManyRequest {
  jobs: NewJobRequest[];
}

/** A job of `POST /enqueue-many` and of `POST /groups`. */
export interface NewJobRequest<T = unknown> extends EnqueueRequest<T> {
  /** Names the job for `depends_on` of other jobs of the request. */
  ref?: string;
  /** Refs of the request, or ids of stored jobs, for which the job waits. At most 1,000. */
  depends_on?: string[];
  /** When a parent fails, is cancelled or is deleted. Default `'cancel'`. */
  on_parent_failure?: 'cancel' | 'run' | 'wait';
}

/** Body of `POST /groups`. With `id`, adds the jobs to an unfinished group. */
export interface GroupRequest {
  jobs: NewJobRequest[];
  id?: string;
  name?: string;
  /** Starts when all jobs have completed. */
  on_success?: EnqueueRequest;
  /** Starts when all jobs have ended. */
  on_finish?: EnqueueRequest;
  /** Starts when the first job fails for good. */
  on_failure?: EnqueueRequest;
}

/** Response of `POST /groups`: the jobs in the order of the request. */
export interface EnqueuedGroup {
  id: string;
  jobs: Job[];
}

/** A group of jobs, and how far its members are. The callbacks are no members. */
export interface JobGroup {
  id: string;
  name: string | null;
  total: number;
  pending: number;
  processing: number;
  completed: number;
  failed: number;
  /** Members that were cancelled or deleted. */
  cancelled: number;
  created: string;
  /** When the last member ended. */
  finished: string | null;
}

/** Response of `GET /groups/:id`. */
export interface JobGroupWithCallbacks extends JobGroup {
  /** The jobs that wait for the group. */
  callbacks: {
    kind: 'on_success' | 'on_finish' | 'on_failure';
    id: string;
    /** `null` for a deleted job. */
    topic: string | null;
    status: JobStatus | 'deleted';
  }[];
}

/** Response of `GET /groups`, newest first. */
export interface JobGroupList {
  items: JobGroup[];
  /** Pass it as `before` to get the next page; `null` on the last page. */
  next_before: string | null;
}

/** Response of `GET /:id/graph`: the jobs that are linked with a job at any distance, at most 500. */
export interface JobGraph {
  nodes: { id: string; topic: string | null; status: JobStatus | 'deleted' }[];
  links: { parent_id: string; child_id: string; on_parent_failure: 'cancel' | 'run' | 'wait'; open: boolean }[];
  /** The graph has more jobs than these. */
  cut: boolean;
}
