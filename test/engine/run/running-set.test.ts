import { v7 as uuidv7 } from 'uuid';
import type { Attempt } from '../../../lib/engine/run/attempt.js';
import { RunningSet } from '../../../lib/engine/run/running-set.js';

function attemptOf(id: string = uuidv7()): Attempt {
  return { id, hasSlot: false } as Attempt;
}

describe('slots', () => {
  it('are given, counted and taken back, many more than there are buckets', () => {
    const slots = new RunningSet();
    const attempts = Array.from({ length: 5_000 }, () => attemptOf());
    attempts.forEach((attempt) => slots.give(attempt));
    expect(slots.count).toBe(5_000);
    expect(new Set(slots.attempts)).toEqual(new Set(attempts));
    expect(attempts.every((attempt) => slots.holderOf(attempt.id) === attempt)).toBe(true);

    const [gone, left] = [attempts.slice(0, 2_500), attempts.slice(2_500)];
    gone.forEach((attempt) => slots.takeBack(attempt));
    expect(slots.count).toBe(2_500);
    expect(new Set(slots.attempts)).toEqual(new Set(left));
    expect(gone.some((attempt) => slots.holderOf(attempt.id))).toBe(false);
    expect(left.every((attempt) => slots.holderOf(attempt.id) === attempt)).toBe(true);
  });

  it('are taken back once', () => {
    const slots = new RunningSet();
    const [a, b] = [attemptOf(), attemptOf()];
    slots.give(a);
    slots.takeBack(a);
    slots.give(b);
    slots.takeBack(a);
    expect([slots.count, slots.attempts]).toEqual([1, [b]]);
  });

  it('tell attempts of one job apart', () => {
    const slots = new RunningSet();
    const [older, newer] = [attemptOf('a'), attemptOf('a')];
    slots.give(older);
    slots.takeBack(newer);
    expect(slots.holderOf('a')).toBe(older);
    slots.takeBack(older);
    expect(slots.holderOf('a')).toBeUndefined();
  });
});
