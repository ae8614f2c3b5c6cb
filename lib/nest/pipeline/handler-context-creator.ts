import { ExternalContextCreator } from '@nestjs/core';
import { lastValueOf } from '../last-value.js';
import type { AttemptGuard } from './attempt-guard.js';
import { Rejection } from './marking-pipes.js';
import type { Rejections } from './rejections.js';

/**
 * Nest's creator, as handlers need it. Refusals of guards and pipes are noted; a handler whose attempt ended while they waited
 * is not called; an Observable may be empty.
 */
export class HandlerContextCreator extends ExternalContextCreator {
  constructor(
    private readonly refusals: Rejections,
    private readonly gate: AttemptGuard,
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
        this.gate.enter(params[0]);
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
        this.gate.enter(params[0] as object);
      })
    );
  }

  override async transformToResult(result: unknown): Promise<unknown> {
    return lastValueOf(result);
  }
}

type Guards = (params: [job: object]) => Promise<void>;
