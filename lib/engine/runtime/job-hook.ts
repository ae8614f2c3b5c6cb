import type { JobEvent } from '../../core/job-events.js';
import type { Claim, Job } from '../../core/job.js';

/** One call of `enqueue`, `enqueueTx` or `enqueueMany`. */
export interface EnqueueCall {
  /** One for each job. Not checked yet. */
  readonly topics: readonly unknown[];
  /** What hooks add to the metadata of the jobs: JSON texts by name. Names begin with `$`. */
  readonly members: Map<string, string>;
}

/** Code around enqueues and handlers. An absent member costs nothing. */
export interface JobHook {
  /** Called in the caller's tick. Calls `store` in the same tick, and returns its result. */
  readonly aroundEnqueue?: (call: EnqueueCall, store: () => Promise<readonly Job[]>) => Promise<readonly Job[]>;
  /** Runs one call of a handler, with its guards, and returns its result. A batch handler has several claims. */
  readonly aroundHandler?: (claims: readonly Claim[], run: () => Promise<unknown>) => Promise<unknown>;
  /** Called after the write of each event has committed. */
  readonly onEvent?: (event: JobEvent) => void;
  /** Called once, when the engine closes. */
  readonly onClose?: () => void;
}
