import { HttpException } from '@nestjs/common';
import { ExternalContextCreator } from '@nestjs/core';
import { PipesConsumer } from '@nestjs/core/pipes/index.js';
import { messageOf, SnoozeError, UnrecoverableError } from '../core/errors.js';
import { isOutage } from './outages.js';

/**
 * Remembers which attempts were refused, by a guard or a pipe: trying again would not change their mind, so the job fails
 * at once. Filters still see the error as it was thrown.
 */
export class Refusals {
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
    return refusal && Object.is(refusal.error, error) && !(error instanceof UnrecoverableError)
      ? new UnrecoverableError(reasonOf(error), { cause: error })
      : error;
  }
}

/** Nest's creator, whose guards and pipes have their refusals noted. */
export class NotingContextCreator extends ExternalContextCreator {
  constructor(
    private readonly refusals: Refusals,
    ...parts: ConstructorParameters<typeof ExternalContextCreator>
  ) {
    super(...parts);
  }

  override createGuardsFn(...args: Parameters<ExternalContextCreator['createGuardsFn']>): Guards | null {
    const guards = super.createGuardsFn(...args) as Guards | null;
    return (
      guards &&
      (async (params) => {
        try {
          await guards(params);
        } catch (error) {
          this.refusals.note(params[0], error);
          throw error;
        }
      })
    );
  }

  override createPipesFn(
    ...args: Parameters<ExternalContextCreator['createPipesFn']>
  ): ReturnType<ExternalContextCreator['createPipesFn']> {
    const pipes = super.createPipesFn(...args);
    return (
      pipes &&
      (async (given, ...params) => {
        try {
          await pipes(given, ...params);
        } catch (thrown) {
          if (!(thrown instanceof Rejection)) {
            throw thrown;
          }
          this.refusals.note(params[0] as object, thrown.error);
          throw thrown.error;
        }
      })
    );
  }
}

type Guards = (params: [job: object]) => Promise<void>;

/** On its way from a pipe to the attempt; what a parameter's decorator throws is none. */
class Rejection extends Error {
  constructor(readonly error: unknown) {
    super('rejected by a pipe');
  }
}

/** Pipes whose rejections can be told from other errors. */
export class MarkingPipes extends PipesConsumer {
  override async apply(...[value, metadata, pipes]: Parameters<PipesConsumer['apply']>): Promise<unknown> {
    // What an asynchronous decorator gives is not the pipes' affair until it is there.
    const given = await value;
    try {
      return await super.apply<unknown>(given, metadata, pipes);
    } catch (error) {
      throw new Rejection(error);
    }
  }
}

/** A `ValidationPipe` keeps what it has to say in the response. */
function reasonOf(error: unknown): string {
  const response = error instanceof HttpException ? error.getResponse() : undefined;
  const details = typeof response === 'object' ? (response as { message?: unknown }).message : undefined;
  return Array.isArray(details) ? `${messageOf(error)}: ${details.join('; ')}` : messageOf(error);
}
