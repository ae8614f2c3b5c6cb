import { silentLogger } from '../../../lib/core/logger.js';
import type { Claim } from '../../../lib/core/job.js';
import type { AttemptParts } from '../../../lib/engine/run/attempt.js';
import { Attempt } from '../../../lib/engine/run/attempt.js';
import { Executor } from '../../../lib/engine/run/executor.js';
import type { RegisteredHandler } from '../../../lib/engine/runtime/handler-registry.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';

describe('the executor', () => {
  it('ends once when the thenable of a handler calls back twice', async () => {
    const clock = new VirtualClock();
    const promise = Promise.resolve('done');
    const callBack = promise.then.bind(promise);
    const then = (done: () => void): unknown => [callBack(done), callBack(done)];
    const hostile = Object.assign(promise, { then });
    const calls: string[] = [];
    const parts = { clock, logger: silentLogger } as unknown as AttemptParts;
    const attempt = new Attempt({ id: 'a', attempt: 1, topic: 'mail' } as Claim, parts, 0, 60_000);
    const handler = { run: () => hostile, settings: {} } as unknown as RegisteredHandler;
    const callbacks = { onHandlerReturned: () => calls.push('returned'), onAttemptEnded: () => calls.push('ended') };
    const backoff = { type: 'fixed', delayMs: 1, maxDelayMs: 1, jitter: 0 } as const;
    const executor = new Executor({
      clock,
      logger: silentLogger,
      hook: {},
      random: () => 0,
      timeoutMs: 1_000,
      backoff,
      ...callbacks,
    });
    executor.execute(attempt, handler);
    await clock.advance(60_000);
    expect(calls).toEqual(['returned', 'ended']);
  });
});
