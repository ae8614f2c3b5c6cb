import { v7 as uuidv7 } from 'uuid';
import type { Attempt } from '../../../lib/engine/run/attempt.js';
import { RunningSet } from '../../../lib/engine/run/running-set.js';

function createAttempt(id: string = uuidv7()): Attempt {
  return { id, hasSlot: false } as Attempt;
}

describe('the running set', () => {
  it('holds more attempts than it has buckets', () => {
    const slots = new RunningSet();
    const attempts = Array.from({ length: 5_000 }, () => createAttempt());
    attempts.forEach((attempt) => slots.add(attempt));
    expect(slots.size).toBe(5_000);
    expect(new Set(slots.attempts)).toEqual(new Set(attempts));
    expect(attempts.every((attempt) => slots.find(attempt.id) === attempt)).toBe(true);

    const [gone, left] = [attempts.slice(0, 2_500), attempts.slice(2_500)];
    gone.forEach((attempt) => slots.remove(attempt));
    expect(slots.size).toBe(2_500);
    expect(new Set(slots.attempts)).toEqual(new Set(left));
    expect(gone.some((attempt) => slots.find(attempt.id))).toBe(false);
    expect(left.every((attempt) => slots.find(attempt.id) === attempt)).toBe(true);
  });

  it('removes an attempt only once', () => {
    const slots = new RunningSet();
    const [a, b] = [createAttempt(), createAttempt()];
    slots.add(a);
    slots.remove(a);
    slots.add(b);
    slots.remove(a);
    expect([slots.size, slots.attempts]).toEqual([1, [b]]);
  });

  it('distinguishes two attempts of one job', () => {
    const slots = new RunningSet();
    const [older, newer] = [createAttempt('a'), createAttempt('a')];
    slots.add(older);
    slots.remove(newer);
    expect(slots.find('a')).toBe(older);
    slots.remove(older);
    expect(slots.find('a')).toBeUndefined();
  });
});
