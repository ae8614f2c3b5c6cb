import fc from 'fast-check';
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
