import fc from 'fast-check';
import { InvalidPayloadError, PayloadTooLargeError } from '../../../lib/core/errors.js';
import { toFailure } from '../../../lib/core/error-text.js';
import { encodePayload, toRecordedJson } from '../../../lib/core/payload.js';
import { toStorableText } from '../../../lib/core/text.js';
import { claimMany, newJob, settlement } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { anyText } from '../../support/unit/any-text.js';

/** Values per batch; the round trip takes most of the time. */
const VALUES = 200;
const SETS = 3;
const MIB = 1_048_576;

const anyValue = fc.oneof(
  fc.json({ noUnicodeString: false }).map((text) => JSON.parse(text) as unknown),
  fc.anything({ withBigInt: true, withDate: true, withNullPrototype: true, key: anyText }),
  anyText,
  fc.double(),
  fc.constantFrom({ ['__proto__']: 1 }, 1e-7, Number.MAX_VALUE, Number.MIN_VALUE, 2 ** 53, ['\u0000'], '\ud83d'),
);
const values = fc.array(anyValue, { minLength: VALUES, maxLength: VALUES });
const texts = fc.array(anyText, { minLength: VALUES, maxLength: VALUES });

/** Encodes a value. Returns its text, or the path at which it was rejected. */
function encode(value: unknown): { readonly text: string } | { readonly path: string } {
  try {
    return { text: encodePayload(value, MIB) };
  } catch (error) {
    if (error instanceof InvalidPayloadError) return { path: error.path };
    if (error instanceof PayloadTooLargeError) return { path: error.subject };
    throw error;
  }
}

/** Returns the same text for values that are equal as JSON, in any order of their members. */
function toCanonical(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) => {
    const isPlain = typeof member === 'object' && member !== null && !Array.isArray(member);
    return isPlain ? Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)) : member;
  });
}

describe.each(storeKinds())('arbitrary JSON on $label', (kind) => {
  const fixture = useStore(kind);

  it('is returned unchanged from a payload, or rejected with its path', async () => {
    const property = fc.asyncProperty(values, async (set) => {
      const answers = set.map(encode);
      const refused = answers.flatMap((answer) => ('path' in answer ? answer.path : []));
      expect(refused.filter((path) => !path.startsWith('payload'))).toEqual([]);

      const jobs = answers.flatMap((answer) => ('text' in answer ? newJob({ payload: answer.text }) : []));
      const inserted = await fixture.store.insert(jobs);
      const rows = new Map((await fixture.store.find(inserted.map(({ id }) => id))).map((row) => [row.id, row]));
      const kept = jobs.map(({ id }) => toCanonical(rows.get(id)!.payload));
      expect(kept).toEqual(jobs.map(({ payload }) => toCanonical(JSON.parse(payload))));
    });
    await fc.assert(property, { numRuns: SETS, endOnFailure: true });
  });

  it('is returned from a result and an error as far as its text can be stored', async () => {
    const property = fc.asyncProperty(texts, async (set) => {
      const claims = await claimMany(fixture.store, set.length);
      const settled = await fixture.store.settle(
        claims.map((token, index) => {
          const text = set[index]!;
          const outcome =
            index % 2 === 0
              ? { kind: 'completed' as const, result: toRecordedJson([text, { [text]: text }]) }
              : { kind: 'failed' as const, failure: toFailure(text) };
          return settlement(token, outcome);
        }),
      );
      expect(settled.every(({ applied }) => applied)).toBe(true);

      const rows = new Map((await fixture.store.find(claims.map(({ id }) => id))).map((row) => [row.id, row]));
      const kept = claims.map(({ id }, index) => (index % 2 === 0 ? rows.get(id)!.result : rows.get(id)!.lastError));
      const expected = set
        .map(toStorableText)
        .map((text, index) => (index % 2 === 0 ? [text, { [text]: text }] : text));
      expect(kept.map(toCanonical)).toEqual(expected.map(toCanonical));
    });
    await fc.assert(property, { numRuns: SETS, endOnFailure: true });
  });
});
