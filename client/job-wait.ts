import type { CallOptions, Duration } from './call-options.js';
import { backoffMs, pause, withDeadline } from './retry.js';
import type { Job } from './wire.js';

/** Options of `waitFor`. */
export interface WaitForOptions extends CallOptions {
  /** How long to wait for the end of the job: milliseconds, or text such as `'30s'`. Default `'30s'`. */
  timeout?: Duration | undefined;
}

/** The job for which `waitFor` waited has ended `failed` or `cancelled`. */
export class JobFailedError extends Error {
  /** The job as it ended: see its `status`, `last_error` and `errors`. */
  readonly job: Job;

  constructor(job: Job) {
    const ending = job.status === 'cancelled' ? 'was cancelled' : 'failed';
    super(`job ${job.id} of topic '${job.topic}' ${ending}${job.last_error === null ? '' : `: ${job.last_error}`}`);
    this.name = 'JobFailedError';
    this.job = job;
  }
}

/** `waitFor` reached its timeout. The job is not affected. */
export class WaitTimeoutError extends Error {
  /** The id of the job. */
  readonly id: string;
  readonly timeoutMs: number;

  constructor(id: string, timeoutMs: number) {
    super(`job ${id} has not ended within ${timeoutMs} ms`);
    this.name = 'WaitTimeoutError';
    this.id = id;
    this.timeoutMs = timeoutMs;
  }
}

const POLL_FIRST_MS = 200;
const POLL_MAX_MS = 2_000;
const UNITS: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Asks for the job until it has ended, with growing pauses. */
export async function waitForJob<T>(
  id: string,
  { timeout = '30s', signal }: WaitForOptions,
  get: (signal: AbortSignal) => Promise<Job<T>>,
): Promise<Job<T>> {
  const ms = toMs(timeout);
  return withDeadline({ ms, error: () => new WaitTimeoutError(id, ms), signal }, async (ending) => {
    for (let polls = 0; ; polls += 1) {
      const job = await get(ending);
      if (job.status === 'completed') {
        return job;
      }
      if (job.finished !== null) {
        throw new JobFailedError(job);
      }
      await pause(backoffMs(polls, POLL_FIRST_MS, POLL_MAX_MS), ending);
    }
  });
}

function toMs(duration: Duration): number {
  const [, count, unit = 'ms'] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(String(duration)) ?? [];
  const ms = Number(count) * UNITS[unit]!;
  if (!(ms > 0)) {
    throw new TypeError(`timeout: expected milliseconds from 1 on, or text such as '30s', got ${String(duration)}`);
  }
  return ms;
}
