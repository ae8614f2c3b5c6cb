import fc from 'fast-check';
import { InvalidPayloadError, PayloadTooLargeError } from '../../lib/core/errors.js';
import { encodePayload } from '../../lib/core/payload.js';
import { isStorableText } from '../../lib/core/text.js';
import { anyText } from '../support/unit/any-text.js';
import { captureThrown } from '../support/unit/capture-thrown.js';

const MIB = 1_048_576;

/** Characters of every width in UTF-8, without NUL and lone surrogates. */
const character = fc
  .oneof(fc.integer({ min: 1, max: 0x10ffff }), fc.constantFrom(0x22, 0x5c, 0x2028, 0xe9, 0x1f600))
  .filter((point) => point < 0xd800 || point > 0xdfff)
  .map((point) => String.fromCodePoint(point));

const textOfAllTexts = fc.oneof(
  fc.string({ unit: character }),
  fc.constantFrom('__proto__', 'constructor', 'toString', ''),
);

/** Every JSON value; JSON text has no −0. */
const jsonValues = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 6 },
    fc.constant(null),
    fc.boolean(),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => number + 0 || 0),
    textOfAllTexts,
    fc.array(tie('value'), { maxLength: 5 }),
    fc.array(fc.tuple(textOfAllTexts, tie('value')), { maxLength: 5 }).map((entries) => Object.fromEntries(entries)),
  ),
})).value;

function encode(payload: unknown): unknown {
  return JSON.parse(encodePayload(payload, MIB));
}

/** Whether a `jsonb` column accepts all text of a JSON value. */
function isStorable(value: unknown): boolean {
  if (typeof value === 'string') return isStorableText(value);
  if (typeof value !== 'object' || value === null) return true;
  return Object.entries(value).every(([key, member]) => isStorableText(key) && isStorable(member));
}

describe('an accepted payload', () => {
  it('returns unchanged for every JSON value', () => {
    fc.assert(
      fc.property(jsonValues, (value) => {
        expect(encode(value)).toEqual(value);
        expect(encodePayload(value, MIB)).toBe(JSON.stringify(value));
      }),
      { numRuns: 500 },
    );
  });

  it('is valid for a jsonb column; any other value is rejected with its path', () => {
    const values = fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withNullPrototype: true,
      withSet: true,
      withSparseArray: true,
      withTypedArray: true,
      key: anyText,
    });

    fc.assert(
      fc.property(values, (value) => {
        const outcome = tryEncode(value);
        const isStored = typeof outcome === 'string' && isStorable(JSON.parse(outcome));
        const isRefused = outcome instanceof InvalidPayloadError && outcome.path.startsWith('payload');

        expect(isStored || isRefused).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });

  it('may be any JSON value, not only an object', () => {
    expect([null, true, 0, '', [], {}].map((value) => encodePayload(value, MIB))).toEqual(
      ['null', 'true', '0', '""', '[]', '{}'], //
    );
  });

  it('loses only properties that are undefined', () => {
    const payload = { kept: null, dropped: undefined, inner: { dropped: undefined, kept: 0 } };

    expect(encode(payload)).toEqual({ kept: null, inner: { kept: 0 } });
  });

  it('may hold undefined under an invalid key, since both are dropped', () => {
    expect(encode({ 'a\u0000': undefined })).toEqual({});
  });

  it('keeps keys with a special meaning in JavaScript', () => {
    const text = '{"__proto__":{"admin":true},"constructor":1,"toString":null,"hasOwnProperty":[]}';

    expect(encodePayload(JSON.parse(text), MIB)).toBe(text);
    expect(Object.getPrototypeOf(encode(JSON.parse(text)))).toBe(Object.prototype);
  });

  it('may hold objects with a toJSON: dates, URLs, buffers, instances of classes', () => {
    class Money {
      constructor(readonly cents: number) {}
      toJSON(): string {
        return `${this.cents} cents`;
      }
    }
    const payload = {
      at: new Date(0),
      url: new URL('http://a.example/'),
      bytes: Buffer.from([1]),
      price: new Money(5),
    };

    expect(encode(payload)).toEqual({
      at: '1970-01-01T00:00:00.000Z',
      url: 'http://a.example/',
      bytes: { type: 'Buffer', data: [1] },
      price: '5 cents',
    });
  });

  it('passes the key to toJSON as JSON does', () => {
    const named = { toJSON: (key: string) => `under '${key}'` };

    expect(encode({ a: named, list: [named] })).toEqual({ a: "under 'a'", list: ["under '0'"] });
    expect(encode(named)).toBe("under ''");
  });

  it('may contain the same object twice, since that is no cycle', () => {
    const shared = { a: 1 };

    expect(encode({ one: shared, other: [shared, shared] })).toEqual({ one: { a: 1 }, other: [{ a: 1 }, { a: 1 }] });
  });

  it('may be an instance of a class, or an object without a prototype', () => {
    class Order {
      id = 7;
      private total = 3;
      sum(): number {
        return this.total;
      }
    }
    class Tagged extends Order {
      get [Symbol.toStringTag](): string {
        return 'Tagged';
      }
    }
    const bare = Object.assign(Object.create(null) as object, { a: 1 });

    expect(encode([new Order(), new Tagged(), bare])).toEqual([{ id: 7, total: 3 }, { id: 7, total: 3 }, { a: 1 }]);
  });

  it('may be 64 levels deep', () => {
    expect(encode(nested(64))).toEqual(nested(64));
  });
});

describe('the size of a payload', () => {
  const quoted = 2;

  it('may be 1,048,576 bytes', () => {
    expect(encodePayload('a'.repeat(MIB - quoted), MIB)).toHaveLength(MIB);
  });

  it('must not be one byte more', () => {
    const error = captureThrown(() => encodePayload('a'.repeat(MIB - quoted + 1), MIB));

    expect(error).toBeInstanceOf(PayloadTooLargeError);
    expect(error).toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
      subject: 'payload',
      bytes: MIB + 1,
      bytesMax: MIB,
      message: 'payload must be at most 1048576 bytes of JSON text, got 1048577',
    });
  });

  it.each([
    ['é', 2],
    ['€', 3],
    ['😀', 4],
    ['"', 2],
    ['\n', 2],
    ['\u0001', 6],
  ])('counts %p as %d bytes', (character, bytes) => {
    const count = 1_000;
    const size = quoted + count * bytes;

    expect(() => encodePayload(character.repeat(count), size)).not.toThrow();
    expect(captureThrown(() => encodePayload(character.repeat(count), size - 1))).toMatchObject({ bytes: size });
  });

  it('is the size of the stored text: with keys and punctuation, without dropped properties', () => {
    const payload = { a: [1, 2], dropped: undefined };
    const size = '{"a":[1,2]}'.length;

    expect(encodePayload(payload, size)).toHaveLength(size);
    expect(() => encodePayload(payload, size - 1)).toThrow(PayloadTooLargeError);
  });

  it('includes the digits of exponents, which PostgreSQL writes out', () => {
    const payload = Array.from({ length: 10_000 }, () => 1e308);

    expect(encodePayload(payload, 308 * payload.length)).toHaveLength(70_001);
    expect(captureThrown(() => encodePayload(payload, 308 * payload.length - 1))).toMatchObject({
      code: 'INVALID_PAYLOAD',
      path: 'payload',
    });
  });

  it('is rejected with the given name of the value', () => {
    expect(() => encodePayload('abc', 4, 'metadata')).toThrow('metadata must be at most 4 bytes of JSON text, got 5');
  });
});

function nested(levels: number): unknown {
  return Array.from({ length: levels }).reduce<unknown>((inner) => [inner], 'innermost');
}

function tryEncode(payload: unknown): unknown {
  try {
    return encodePayload(payload, MIB);
  } catch (error) {
    return error;
  }
}
