import { ForbiddenException, HttpException } from '@nestjs/common';
import { GuardsConsumer } from '@nestjs/core/guards/index.js';
import { PipesConsumer } from '@nestjs/core/pipes/index.js';
import { messageOf, UnrecoverableError } from '../core/errors.js';

/**
 * Remembers which errors were refusals, of a guard or a pipe: trying again would not change their mind, so the job fails
 * at once. Filters still see the error as it was thrown.
 */
export class Refusals {
  private readonly refused = new WeakSet<object>();

  note(error: unknown): void {
    // Anything else, a lost connection or a server error, is a failure of the guard or pipe, not a judgement of the job.
    if (error instanceof HttpException && error.getStatus() < 500) {
      this.refused.add(error);
    }
  }

  /** What the engine is to hear of an error that came out of the pipeline. */
  translated(error: unknown): unknown {
    return typeof error === 'object' && error !== null && this.refused.has(error)
      ? new UnrecoverableError(reasonOf(error), { cause: error })
      : error;
  }
}

/** Guards whose refusals are noted. A guard that fails otherwise, with a lost connection say, is an ordinary failure. */
export class NotedGuards extends GuardsConsumer {
  constructor(private readonly refusals: Refusals) {
    super();
  }

  override async tryActivate(...args: Parameters<GuardsConsumer['tryActivate']>): Promise<boolean> {
    try {
      if (await super.tryActivate(...args)) {
        return true;
      }
    } catch (error) {
      this.refusals.note(error);
      throw error;
    }
    const refusal = new ForbiddenException('Forbidden resource');
    this.refusals.note(refusal);
    throw refusal;
  }
}

/** Pipes whose rejections are noted. */
export class NotedPipes extends PipesConsumer {
  constructor(private readonly refusals: Refusals) {
    super();
  }

  override async apply(...args: Parameters<PipesConsumer['apply']>): Promise<unknown> {
    try {
      return await super.apply<unknown>(...args);
    } catch (error) {
      this.refusals.note(error);
      throw error;
    }
  }
}

/** A `ValidationPipe` keeps what it has to say in the response. */
function reasonOf(error: object): string {
  const response = error instanceof HttpException ? error.getResponse() : undefined;
  const details = typeof response === 'object' ? (response as { message?: unknown }).message : undefined;
  return Array.isArray(details) ? `${messageOf(error)}: ${details.join('; ')}` : messageOf(error);
}
