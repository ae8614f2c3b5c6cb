import type { OptionValues } from '../core/option-checks.js';
import { condition, flag, integer, oneOrMany, option, optional, recordCheck } from '../core/option-checks.js';
import type { TopicName } from '../core/topic.js';
import { topicNameCheck } from '../core/topic.js';

/** Options of `runPending`. */
export interface RunPendingOptions {
  /** Only jobs of this topic, or of these topics. Default: all with a handler in this process. */
  topic?: TopicName | readonly TopicName[] | undefined;
  /** At most this many jobs. Default: no limit. */
  limit?: number | undefined;
  /** Also jobs that are not due yet: delayed jobs and waiting retries. Default `false`. */
  scheduled?: boolean | undefined;
  /** Also jobs that become pending during the call: jobs that handlers enqueue, and retries. Default `false`. */
  recursive?: boolean | undefined;
  /** Whether to reject with the error of the first attempt that fails, and run no more jobs. Default `false`. */
  throwOnFailure?: boolean | undefined;
}

/** Members of the job that `run` passes to the handler. */
export interface HandlerRunOptions {
  /** Number of the attempt. Default 1. */
  attempt?: number | undefined;
  /** Failed attempts so far. Default `attempt` − 1. */
  retries?: number | undefined;
  /** Default: that of the handler, then of the module. */
  maxRetries?: number | undefined;
  /** Default: none. */
  metadata?: Record<string, unknown> | undefined;
}

export const RUN_PENDING_OPTIONS = {
  topic: condition(oneOrMany(topicNameCheck)),
  limit: option(Infinity, integer(1, Number.MAX_SAFE_INTEGER)),
  scheduled: option(false, flag),
  recursive: option(false, flag),
  throwOnFailure: option(false, flag),
};

export const HANDLER_RUN_OPTIONS = {
  attempt: option(1, integer(1, 2 ** 31 - 1)),
  retries: optional(integer(0, 2 ** 31 - 1)),
  maxRetries: optional(integer(0, 1_000)),
  metadata: condition(recordCheck),
};

/** {@link RunPendingOptions}, checked and complete. */
export type PendingRun = OptionValues<typeof RUN_PENDING_OPTIONS>;
/** {@link HandlerRunOptions}, checked. */
export type HandlerRun = OptionValues<typeof HANDLER_RUN_OPTIONS>;
