import type { Job, JobFailure } from './job.js';

/** Why a job failed for good. */
export interface FailureReason {
  /**
   * - `no_retries_left`: its last attempt failed, and all retries were used.
   * - `lease_lost`: the same, and its last attempt never ended: the process stopped renewing the lease.
   * - `unrecoverable`: the error allows no retry. A handler threw it, or the payload, a guard, a pipe or a schema is the `cause`.
   */
  readonly code: 'no_retries_left' | 'lease_lost' | 'unrecoverable';
  readonly text: string;
}

/** Matches the first line of a stack: `TypeError: x`, `TypeError [ERR_CODE]: x` or `TypeError`. */
const NAME = /^([A-Za-z_$][\w$.]{0,99})(?: \[[^\]\n]{1,99}\])?(?::|\n|$)/;
const CAUSE = '\n[cause]: ';

/** Returns the class of an error from the first line of its stack; `null`: not known. */
export function readErrorName(stack: string | null | undefined): string | null {
  return NAME.exec(stack ?? '')?.[1] ?? null;
}

/** Derives why a job failed for good from its row. Returns `null` for a job with another status. Members that `redact` removed are absent. */
export function explainFailure({
  status,
  attempt,
  rescuedAttempt,
  retries,
  maxRetries,
  errors,
}: Job): FailureReason | null {
  if (status !== 'failed') {
    return null;
  }
  const last = errors?.at(-1);
  if (retries < maxRetries || readErrorName(last?.stack) === 'UnrecoverableError') {
    return { code: 'unrecoverable', text: `the error allows no retry${describeError(last)}` };
  }
  const used = maxRetries === 0 ? 'the job allows none' : `${retries} of ${maxRetries} used`;
  return rescuedAttempt != null && rescuedAttempt === attempt
    ? { code: 'lease_lost', text: `the worker stopped during the last attempt; no retries left: ${used}` }
    : { code: 'no_retries_left', text: `no retries left: ${used}` };
}

function describeError(failure: JobFailure | undefined): string {
  const stack = failure?.stack ?? '';
  const name = readErrorName(stack);
  const at = stack.indexOf(CAUSE);
  const cause = at < 0 ? null : readErrorName(stack.slice(at + CAUSE.length));
  return (name === null ? '' : `: ${name}`) + (cause === null ? '' : `, caused by ${cause}`);
}
