import { InterceptorsConsumer } from '@nestjs/core/interceptors/index.js';
import { worksUntil } from '../../engine/run/handler-context.js';
import type { AttemptGuard } from './attempt-guard.js';

/** Interceptors that may wait before they ask for the handler, and may not wait until it has returned. */
export class GatedInterceptors extends InterceptorsConsumer {
  constructor(private readonly gate: AttemptGuard) {
    super();
  }

  override intercept(...args: Parameters<InterceptorsConsumer['intercept']>): Promise<unknown> {
    const [interceptors, params, instance, callback, next, type] = args;
    const gated = async (): Promise<unknown> => {
      const job = params[0] as object;
      this.gate.enter(job);
      const work = next();
      worksUntil(job, work);
      return work;
    };
    return super.intercept(interceptors, params, instance, callback, interceptors?.length > 0 ? gated : next, type);
  }
}
