import { InterceptorsConsumer } from '@nestjs/core/interceptors/index.js';
import { endingOf } from '../runtime/attempt.js';

/**
 * Where a handler is not called any more, since its attempt has ended while guards, interceptors, pipes or providers waited:
 * another attempt may own the job by then.
 */
export class HandlerGate {
  private readonly refused = new WeakSet<object>();

  /** To be passed after each wait. @throws why the attempt has ended. */
  enter(job: object): void {
    const ending = endingOf(job);
    if (ending) {
      this.refused.add(job);
      throw ending;
    }
  }

  /** @throws the same when it was turned away at least once, whatever interceptors and filters have made of that. */
  leave(job: object): void {
    if (this.refused.has(job)) {
      throw endingOf(job)!;
    }
  }
}

/** Interceptors that may wait before they ask for the handler. */
export class GatedInterceptors extends InterceptorsConsumer {
  constructor(private readonly gate: HandlerGate) {
    super();
  }

  override intercept(...args: Parameters<InterceptorsConsumer['intercept']>): Promise<unknown> {
    const [interceptors, params, instance, callback, next, type] = args;
    const gated = async (): Promise<unknown> => {
      this.gate.enter(params[0] as object);
      return next();
    };
    return super.intercept(interceptors, params, instance, callback, interceptors?.length > 0 ? gated : next, type);
  }
}
