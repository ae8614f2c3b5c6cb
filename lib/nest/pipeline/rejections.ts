import { HttpException } from '@nestjs/common';
import { isUnrecoverable, SnoozeError, UnrecoverableError } from '../../core/errors.js';
import { toErrorMessage } from '../../core/error-text.js';
import { isOutage } from './transient-errors.js';

/**
 * Remembers which attempts were refused, by a guard or a pipe: trying again would not change their mind, so the job fails
 * at once. Filters still see the error as it was thrown.
 */
export class Rejections {
  /** By the job of an attempt: what is thrown may be no object, or the same one each time. */
  private readonly refused = new WeakMap<object, { readonly error: unknown }>();

  note(job: object, error: unknown): void {
    // Who snoozes a job has not judged it, nor has who could not ask.
    if (!(error instanceof SnoozeError) && !isOutage(error)) {
      this.refused.set(job, { error });
    }
  }

  /** What the engine is to hear of an error that came out of the pipeline. */
  translated(job: object, error: unknown): unknown {
    const refusal = this.refused.get(job);
    return refusal && Object.is(refusal.error, error) && !isUnrecoverable(error)
      ? new UnrecoverableError(reasonOf(error), { cause: error })
      : error;
  }
}

/** A `ValidationPipe` keeps what it has to say in the response. */
function reasonOf(error: unknown): string {
  const response = error instanceof HttpException ? error.getResponse() : undefined;
  const details = typeof response === 'object' ? (response as { message?: unknown }).message : undefined;
  return Array.isArray(details) ? `${toErrorMessage(error)}: ${details.join('; ')}` : toErrorMessage(error);
}
