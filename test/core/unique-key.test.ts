import fc from 'fast-check';
import { readEnqueueOptions } from '../../lib/core/job-options.js';
import { applyCheck } from '../../lib/core/option-checks.js';
import { compareUniqueKeys, uniqueKeyCheck } from '../../lib/core/unique-key.js';

const keyedJobs = fc.record({
  topic: fc.constantFrom('mail', 'Mail', 'ship', 'é'),
  uniqueKey: fc.constantFrom(null, '1', '10', '2', 'é', 'z', '\ufffd', '😀'),
});

describe('the order of keyed jobs', () => {
  it('is by topic, then by key, and stable', () => {
    const jobs = [
      { id: '2', topic: 'mail', uniqueKey: 'b' },
      { id: '1', topic: 'mail', uniqueKey: 'b' },
      { id: '3', topic: 'ship', uniqueKey: 'a' },
      { id: '4', topic: 'mail', uniqueKey: 'a' },
      { id: '5', topic: 'mail', uniqueKey: null },
    ];

    expect(jobs.sort(compareUniqueKeys).map(({ id }) => id)).toEqual(['5', '4', '2', '1', '3']);
  });

  it('puts a key that a job holds until it starts before the same key of another kind', () => {
    const uniqueMode = { untilStarted: true, forMs: null, debounce: null };
    const jobs = [
      { topic: 'mail', uniqueKey: 'a', uniqueMode: null },
      { topic: 'mail', uniqueKey: 'a', uniqueMode },
    ];

    expect(jobs.toSorted(compareUniqueKeys)).toEqual(jobs.toReversed());
  });

  it('is by bytes, as in the database', () => {
    const keys = ['😀', '\uff01', 'é', 'z', ''].map((uniqueKey) => ({ topic: 'mail', uniqueKey }));

    expect(keys.sort(compareUniqueKeys).map(({ uniqueKey }) => uniqueKey)).toEqual(['', 'z', 'é', '\uff01', '😀']);
  });

  it('does not depend on the order of the input', () => {
    fc.assert(
      fc.property(
        fc
          .array(keyedJobs)
          .chain((jobs) => fc.tuple(fc.constant(jobs), fc.shuffledSubarray(jobs, { minLength: jobs.length }))),
        ([jobs, shuffled]) => {
          expect([...shuffled].sort(compareUniqueKeys)).toEqual([...jobs].sort(compareUniqueKeys));
        },
      ),
    );
  });

  it('is antisymmetric and transitive', () => {
    fc.assert(
      fc.property(keyedJobs, keyedJobs, keyedJobs, (a, b, c) => {
        expect(compareUniqueKeys(a, b) + compareUniqueKeys(b, a)).toBe(0);
        expect(compareUniqueKeys(a, b) < 0 && compareUniqueKeys(b, c) < 0 && compareUniqueKeys(a, c) >= 0).toBe(false);
      }),
    );
  });
});

describe('a unique key', () => {
  it.each(['a', ' ', 'é'.repeat(255), '😀'])('may be %p', (key) => {
    expect(applyCheck(uniqueKeyCheck, key, 'uniqueKey')).toBe(key);
  });

  it.each(['', 'a'.repeat(256), 'a\u0000', '\ud83d', 7, null, {}])('must not be %p', (key) => {
    expect(() => applyCheck(uniqueKeyCheck, key, 'uniqueKey')).toThrow(
      /^uniqueKey: expected text of 1 to 255 characters/,
    );
  });
});

/** Reads options as JavaScript may pass them: of any type, under any name. */
function readMode(given: Record<string, unknown>): ReturnType<typeof readEnqueueOptions> {
  return readEnqueueOptions({ uniqueKey: 'k', ...given });
}

describe('the options of a unique key', () => {
  const mode = { untilStarted: false, forMs: null, debounce: null };

  it.each<[Record<string, unknown>, object | undefined, number]>([
    [{}, undefined, 0],
    [{ uniqueUntil: undefined, uniqueFor: undefined, debounce: undefined }, undefined, 0],
    [{ uniqueUntil: 'finished' }, undefined, 0],
    [{ uniqueUntil: 'started' }, { ...mode, untilStarted: true }, 0],
    [{ uniqueFor: '1s' }, { ...mode, forMs: 1_000 }, 0],
    [{ uniqueFor: '30d', delay: 5 }, { ...mode, forMs: 30 * 86_400_000 }, 5],
    [{ uniqueFor: '1m', uniqueUntil: 'started' }, { ...mode, untilStarted: true, forMs: 60_000 }, 0],
    [{ debounce: '2s' }, { ...mode, untilStarted: true, debounce: { wait: 2_000, max: 20_000 } }, 2_000],
    [{ debounce: { wait: '2s' } }, { ...mode, untilStarted: true, debounce: { wait: 2_000, max: 20_000 } }, 2_000],
    [
      { debounce: { wait: 1, max: 1 }, uniqueUntil: 'started' },
      { ...mode, untilStarted: true, debounce: { wait: 1, max: 1 } },
      1,
    ],
  ])('%p', (given, uniqueMode, delayMs) => {
    expect(readMode(given)).toMatchObject({ uniqueKey: 'k', uniqueMode, delayMs });
  });

  it.each<[Record<string, unknown>, string]>([
    [{ uniqueKey: undefined, uniqueUntil: 'finished' }, 'uniqueUntil: needs uniqueKey'],
    [{ uniqueKey: undefined, uniqueFor: '1s' }, 'uniqueFor: needs uniqueKey'],
    [{ uniqueKey: undefined, debounce: '1s' }, 'debounce: needs uniqueKey'],
    [{ uniqueFor: '1s', debounce: '1s' }, 'uniqueFor: contradicts debounce; give one of the two'],
    [{ uniqueUntil: 'finished', debounce: '1s' }, 'uniqueUntil: contradicts debounce'],
    [{ debounce: '1s', delay: 0 }, 'debounce: contradicts delay'],
    [{ debounce: '1s', runAt: new Date() }, 'debounce: contradicts runAt'],
    [{ uniqueUntil: 'start' }, "uniqueUntil: expected 'finished' or 'started', got"],
    [{ uniqueFor: 999 }, 'uniqueFor: expected a duration from 1s to 30d'],
    [{ uniqueFor: '31d' }, 'uniqueFor: expected a duration from 1s to 30d'],
    [{ debounce: 0 }, 'debounce: expected a duration from 1ms to 30d'],
    [{ debounce: null }, 'debounce: expected a duration'],
    [{ debounce: [] }, 'debounce: expected a duration'],
    [{ debounce: {} }, 'debounce.wait: expected a duration'],
    [{ debounce: { wait: '1s', max: 999 } }, 'debounce.max: expected at least wait, which is 1000 ms, got 999'],
    [{ debounce: { wait: '1s', maxx: 5 } }, "debounce.maxx: unknown option; did you mean 'max'?"],
    [{ debounce: { delay: '1s' } }, 'debounce.delay: unknown option'],
    [{ uniqueTill: 'started' }, "uniqueTill: unknown option; did you mean 'uniqueUntil'?"],
    [{ ttl: 5 }, "ttl: unknown option; did you mean 'uniqueFor'?"],
    [{ throttle: 5 }, "throttle: unknown option; did you mean 'uniqueFor'?"],
    [{ debounced: 5 }, "debounced: unknown option; did you mean 'debounce'?"],
  ])('%p is refused', (given, message) => {
    expect(() => readMode(given)).toThrow(message);
  });
});
