import fc from 'fast-check';
import type { Backoff } from '../../lib/core/backoff.js';
import { retryDelayMs } from '../../lib/core/backoff.js';

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
/** The random value for which jitter does not change a delay. */
const MIDDLE = 0.5;

const backoffs: fc.Arbitrary<Backoff> = fc
  .record({
    type: fc.constantFrom('fixed' as const, 'quadratic' as const, 'exponential' as const),
    delayMs: fc.integer({ min: 0, max: 3_650 * DAY_MS }),
    longerMs: fc.integer({ min: 0, max: 3_650 * DAY_MS }),
    jitter: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  .map(({ type, delayMs, longerMs, jitter }) => ({ type, delayMs, maxDelayMs: delayMs + longerMs, jitter }));
const retries = fc.integer({ min: 1, max: 1_000 });
const randoms = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

function createBackoff(type: Backoff['type'], changes: Partial<Backoff> = {}): Backoff {
  return { type, delayMs: MINUTE_MS, maxDelayMs: DAY_MS, jitter: 0, ...changes };
}

describe('backoff', () => {
  it.each([
    ['fixed', [1, 1, 1, 1, 1]],
    ['quadratic', [1, 4, 9, 16, 25]],
    ['exponential', [1, 2, 4, 8, 16]],
  ] as const)('of type %s waits %p minutes before its first retries', (type, minutes) => {
    const waited = [1, 2, 3, 4, 5].map((retry) => retryDelayMs(createBackoff(type), retry, MIDDLE) / MINUTE_MS);

    expect(waited).toEqual(minutes);
  });

  it.each([
    ['fixed', 1, 1_000],
    ['quadratic', 37, 38],
    ['exponential', 11, 12],
  ] as const)(
    'of type %s with a delay of a minute is below a day at retry %d and at most a day at retry %d',
    (type, below, above) => {
      expect(retryDelayMs(createBackoff(type), below, MIDDLE)).toBeLessThan(DAY_MS);
      expect(retryDelayMs(createBackoff(type), above, MIDDLE)).toBe(type === 'fixed' ? MINUTE_MS : DAY_MS);
    },
  );

  it('is always a whole number of milliseconds from 0 to maxDelay', () => {
    fc.assert(
      fc.property(backoffs, retries, randoms, (backoff, retry, random) => {
        const ms = retryDelayMs(backoff, retry, random);

        expect(Number.isSafeInteger(ms)).toBe(true);
        expect(ms).toBeGreaterThanOrEqual(0);
        expect(ms).toBeLessThanOrEqual(backoff.maxDelayMs);
      }),
    );
  });

  it('never decreases from one retry to the next without jitter', () => {
    fc.assert(
      fc.property(backoffs, retries, (backoff, retry) => {
        const still = { ...backoff, jitter: 0 };

        expect(retryDelayMs(still, retry + 1, MIDDLE)).toBeGreaterThanOrEqual(retryDelayMs(still, retry, MIDDLE));
      }),
    );
  });

  it('changes by at most its jitter and never exceeds maxDelay', () => {
    fc.assert(
      fc.property(backoffs, retries, randoms, (backoff, retry, random) => {
        const plainMs = retryDelayMs({ ...backoff, jitter: 0 }, retry, MIDDLE);
        const jitteredMs = retryDelayMs(backoff, retry, random);
        // Allows for rounding and the precision of a double.
        const toleranceMs = 1 + plainMs * 1e-9;

        expect(jitteredMs).toBeGreaterThanOrEqual(plainMs * (1 - backoff.jitter) - toleranceMs);
        expect(jitteredMs).toBeLessThanOrEqual(
          Math.min(plainMs * (1 + backoff.jitter) + toleranceMs, backoff.maxDelayMs),
        );
      }),
    );
  });

  it('reaches both limits of its jitter', () => {
    const backoff = createBackoff('fixed', { jitter: 0.1 });

    expect(retryDelayMs(backoff, 1, 0)).toBe(54_000);
    expect(retryDelayMs(backoff, 1, MIDDLE)).toBe(60_000);
    expect(retryDelayMs(backoff, 1, 1 - Number.EPSILON)).toBe(66_000);
  });

  it('is not random without jitter', () => {
    fc.assert(
      fc.property(backoffs, retries, randoms, randoms, (backoff, retry, one, other) => {
        const still = { ...backoff, jitter: 0 };

        expect(retryDelayMs(still, retry, one)).toBe(retryDelayMs(still, retry, other));
      }),
    );
  });

  it.each(['fixed', 'quadratic', 'exponential'] as const)('of type %s with no delay never waits', (type) => {
    expect(retryDelayMs(createBackoff(type, { delayMs: 0, jitter: 1 }), 1_000, 0.9)).toBe(0);
  });
});
