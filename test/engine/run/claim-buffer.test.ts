import type { Attempt } from '../../../lib/engine/run/attempt.js';
import { ClaimBuffer } from '../../../lib/engine/run/claim-buffer.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';

describe('the buffer of claimed jobs', () => {
  let clock: VirtualClock;
  let buffer: ClaimBuffer;
  let stale: string[][];
  let areHandlersQuick: boolean;

  beforeEach(() => {
    clock = new VirtualClock();
    stale = [];
    areHandlersQuick = true;
    buffer = new ClaimBuffer(
      clock,
      () => areHandlersQuick,
      (attempts) => stale.push(attempts.map(({ id }) => id)),
    );
  });

  const push = (...ids: string[]): void => {
    ids.forEach((id) => buffer.push({ id, claimedAtMs: clock.now() } as Attempt));
    buffer.watch();
  };

  it('returns attempts that have waited for half a second, the oldest first, and no later ones', async () => {
    push('a', 'b');
    await clock.advance(300);
    push('c');
    await clock.advance(299);
    expect(stale).toEqual([]);
    await clock.advance(1);
    expect(stale).toEqual([['a', 'b']]);
    expect(buffer.all.map(({ id }) => id)).toEqual(['c']);
    await clock.advance(300);
    expect(stale).toEqual([['a', 'b'], ['c']]);
    expect(buffer.length).toBe(0);
  });

  it('does not return attempts that were shifted before', async () => {
    push('a', 'b', 'c');
    await clock.advance(450);
    expect([buffer.shift()?.id, buffer.shift()?.id]).toEqual(['a', 'b']);
    push('d');
    await clock.advance(150);
    expect(stale).toEqual([['c']]);
    expect(buffer.shift()?.id).toBe('d');
  });

  it('does not count time in which the process was suspended', async () => {
    push('a');
    for (let stop = 0; stop < 3; stop += 1) await clock.suspend(10_000);
    await clock.advance(299);
    expect(stale).toEqual([]);
    await clock.advance(1);
    expect(stale).toEqual([['a']]);
  });

  it('counts time in which a slow handler blocked the process', async () => {
    push('a');
    await clock.suspend(450);
    areHandlersQuick = false;
    push('b');
    await clock.suspend(300);
    expect(stale).toEqual([['a']]);
    await clock.advance(200);
    expect(stale).toEqual([['a'], ['b']]);
  });

  it('schedules no check while nothing waits', async () => {
    push('a');
    buffer.shift();
    await clock.advance(100);
    expect(clock.waiting).toBe(0);
    push('b');
    expect(clock.waiting).toBe(1);
    expect(buffer.takeAll().map(({ id }) => id)).toEqual(['b']);
    expect(clock.waiting).toBe(0);
    push('c');
    await clock.advance(600);
    expect(stale).toEqual([['c']]);
  });
});
