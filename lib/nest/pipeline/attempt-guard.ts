import { endingOf } from '../../engine/run/handler-context.js';

/**
 * Where a handler is not called any more, since its attempt has ended while guards, interceptors, pipes or providers waited:
 * another attempt may own the job by then.
 */
export class AttemptGuard {
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
