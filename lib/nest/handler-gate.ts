import { InterceptorsConsumer } from '@nestjs/core/interceptors/index.js';
import type { JobContext } from '../core/job-context.js';

/**
 * Where a handler is not called any more, since its attempt has ended while guards, interceptors, pipes or providers waited:
 * another attempt may own the job by then.
 */
export class HandlerGate {
  private readonly refused = new WeakSet<object>();

  /** To be passed after each wait. @throws why the attempt has ended. */
  enter(job: JobContext): void {
    if (job.signal.aborted) {
      this.refused.add(job);
      throw job.signal.reason;
    }
  }

  /** @throws the same when the handler was not called, whatever interceptors and filters have made of that. */
  leave(job: JobContext): void {
    if (this.refused.has(job)) {
      throw job.signal.reason;
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
      this.gate.enter(params[0] as JobContext);
      return next();
    };
    return super.intercept(interceptors, params, instance, callback, interceptors?.length > 0 ? gated : next, type);
  }
}
