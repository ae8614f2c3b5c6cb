import type { Attempt } from '../../../lib/engine/run/attempt.js';
import type { RegisteredHandler } from '../../../lib/engine/handler-registry.js';
import { Run } from '../../../lib/engine/run/run.js';
import { silentLogger } from '../../../lib/core/logger.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';

describe('a handler whose promise calls back twice', () => {
  it('has returned once, and ended once', async () => {
    const clock = new VirtualClock();
    const promise = Promise.resolve('done');
    const callBack = promise.then.bind(promise);
    const then = (done: () => void): unknown => [callBack(done), callBack(done)];
    const hostile = Object.assign(promise, { then });
    const told: string[] = [];
    const attempt = { whenDismissed: () => undefined } as unknown as Attempt;
    const handler = { run: () => hostile, settings: {} } as unknown as RegisteredHandler;
    const execution = { returned: () => void told.push('returned'), ended: () => void told.push('ended') };
    new Run(attempt, handler, execution, { clock, logger: silentLogger, outcomeOf: () => null }).begin(1_000);
    await clock.advance(60_000);
    expect(told).toEqual(['returned', 'ended']);
  });
});
