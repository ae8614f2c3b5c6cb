import { LeaseLostError } from '../../../lib/core/errors.js';
import type { Claim } from '../../../lib/core/job.js';
import type { AttemptParts } from '../../../lib/engine/run/attempt.js';
import { Attempt } from '../../../lib/engine/run/attempt.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';

describe('an attempt', () => {
  it('does not start its handler after its lease has expired, even before a timer has run', async () => {
    const clock = new VirtualClock();
    const attempt = new Attempt({ id: 'a', attempt: 1 } as Claim, { clock } as unknown as AttemptParts, 0, 100);
    await clock.advance(99);
    expect(() => attempt.throwIfAborted()).not.toThrow();
    await clock.advance(1);
    expect(() => attempt.throwIfAborted()).toThrow(LeaseLostError);
    expect(attempt.abortedFor).toBe('lease_lost');
  });

  it('does not lose its lease while its outcome is being written', async () => {
    const clock = new VirtualClock();
    const attempt = new Attempt({ id: 'a', attempt: 1 } as Claim, { clock } as unknown as AttemptParts, 0, 100);
    attempt.markSettling();
    await clock.advance(100);
    attempt.loseExpiredLease();
    expect(attempt.abortedFor).toBeUndefined();
  });
});
