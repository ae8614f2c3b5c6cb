import { LeaseLostError } from '../../../lib/core/errors.js';
import type { Claim } from '../../../lib/core/job.js';
import type { AttemptParts } from '../../../lib/engine/run/attempt.js';
import { Attempt } from '../../../lib/engine/run/attempt.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';

describe('an attempt', () => {
  it('does not let its handler begin once its lease is over, though nobody has said so yet', async () => {
    const clock = new VirtualClock();
    const attempt = new Attempt({ id: 'a', attempt: 1 } as Claim, { clock } as unknown as AttemptParts, 0, 100);
    await clock.advance(99);
    expect(() => attempt.throwIfEnding()).not.toThrow();
    await clock.advance(1);
    expect(() => attempt.throwIfEnding()).toThrow(LeaseLostError);
    expect(attempt.abortedFor).toBe('lease_lost');
  });

  it('whose outcome is on its way is not lost: the table says what became of it', async () => {
    const clock = new VirtualClock();
    const attempt = new Attempt({ id: 'a', attempt: 1 } as Claim, { clock } as unknown as AttemptParts, 0, 100);
    attempt.settle();
    await clock.advance(100);
    attempt.loseEndedLease();
    expect(attempt.abortedFor).toBeUndefined();
  });
});
