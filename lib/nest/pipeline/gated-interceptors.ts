import { InterceptorsConsumer } from '@nestjs/core/interceptors/index.js';
import type { HandlerGate } from './handler-gate.js';

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
