import type { Attempt } from '../../lib/runtime/attempt.js';
import { Slots } from '../../lib/runtime/slots.js';

function attemptOf(id: string): Attempt {
  return { id, slot: undefined } as Attempt;
}

describe('slots', () => {
  it('are counted, and given anew when they are free', () => {
    const slots = new Slots();
    const [a, b, c] = ['a', 'b', 'c'].map(attemptOf);
    slots.give(a!);
    slots.give(b!);
    slots.takeBack(a!);
    expect([slots.count, slots.attempts]).toEqual([1, [b]]);
    slots.give(c!);
    expect(slots.count).toBe(2);
    expect(new Set(slots.attempts)).toEqual(new Set([b, c]));
    expect(new Set([b!.slot, c!.slot])).toEqual(new Set([0, 1]));
  });

  it('are taken back once', () => {
    const slots = new Slots();
    const [a, b] = ['a', 'b'].map(attemptOf);
    slots.give(a!);
    slots.takeBack(a!);
    slots.give(b!);
    slots.takeBack(a!);
    expect(slots.attempts).toEqual([b]);
  });

  it('know the older attempt of a job', () => {
    const slots = new Slots();
    const a = attemptOf('a');
    slots.give(a);
    expect(slots.olderOf({ id: 'a', attempt: 2 })).toBe(a);
    expect(slots.olderOf({ id: 'b', attempt: 2 })).toBeUndefined();
    expect(slots.olderOf({ id: 'b', attempt: 1 })).toBeUndefined();
    slots.takeBack(a);
    expect(slots.olderOf({ id: 'a', attempt: 2 })).toBeUndefined();
  });
});
