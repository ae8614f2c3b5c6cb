import fc from 'fast-check';
import { RECORDED_JSON_BYTES_MAX, recordResult, toRecordedJson } from '../../lib/core/payload.js';
import { isStorableText, toStorableText } from '../../lib/core/text.js';
import { HOSTILE_VALUES } from '../support/unit/hostile-values.js';

const KIB_64 = 65_536;

/** Text that is hard to escape. */
const trickyText = fc
  .array(
    fc.constantFrom('\\', '\\\\', '\u0000', 'u0000', '\\u0000', 'ud83d', '\ud83d', '\ude00', '"', '\n', '\ufffd', 'é'),
  )
  .map((parts) => parts.join(''));

describe('a recorded result', () => {
  it.each<[unknown, string | null]>([
    [undefined, null],
    [null, 'null'],
    [0, '0'],
    ['', '""'],
    [false, 'false'],
    [{ sent: 3, dropped: undefined }, '{"sent":3}'],
    [[1, undefined], '[1,null]'],
    [NaN, 'null'],
    [new Date(0), '"1970-01-01T00:00:00.000Z"'],
  ])('%p is stored as %p', (value, text) => {
    expect(toRecordedJson(value)).toBe(text);
  });

  it.each<[string, unknown]>([
    ['a function', () => 1],
    ['a symbol', Symbol('s')],
    ['a BigInt', 1n],
    ['a cycle', Object.assign([], { 0: globalThis })],
    ['endless nesting', endless()],
    ['a toJSON that throws', { toJSON: fail }],
    ['a getter that throws', Object.defineProperty({}, 'a', { get: fail, enumerable: true })],
    ['a toJSON that returns undefined', { toJSON: () => undefined }],
  ])('is null when it cannot be JSON: %s', (_name, value) => {
    expect(toRecordedJson(value)).toBeNull();
  });

  it.each(HOSTILE_VALUES)('is text or null and never throws for %s', (_name, value) => {
    expect(() => toRecordedJson(value)).not.toThrow();
  });

  it('has NUL and lone surrogates replaced in text and keys', () => {
    const result = { 'a\u0000': ['\ud83d', 'x\u0000y', '\ude00'], fine: '😀 é \u0001' };

    expect(JSON.parse(toRecordedJson(result)!)).toEqual({
      'a\ufffd': ['\ufffd', 'x\ufffdy', '\ufffd'],
      fine: '😀 é \u0001',
    });
  });

  it('keeps an escaped backslash before text that looks like an escape', () => {
    expect(JSON.parse(toRecordedJson('C:\\u0000 \\\\ud83d')!)).toBe('C:\\u0000 \\\\ud83d');
  });

  it('is a note of its size when it is too deep for SQLite', () => {
    const nested = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);
    expect(toRecordedJson(JSON.parse(nested(990)))).toBe(nested(990));
    expect(toRecordedJson(JSON.parse(nested(991)))).toBe('{"truncated":true,"bytes":1982}');
    const brackets = '['.repeat(3_000);
    expect(toRecordedJson({ a: brackets, b: `\\"${brackets}` })).toBe(
      JSON.stringify({ a: brackets, b: `\\"${brackets}` }),
    );
    expect(toRecordedJson(Array.from({ length: 1_500 }, () => [[]]))).toHaveLength(7_501);
  });

  it('contains exactly the storable form of any text', () => {
    fc.assert(
      fc.property(trickyText, (text) => {
        expect(JSON.parse(toRecordedJson(text)!)).toBe(toStorableText(text));
      }),
      { numRuns: 1_000 },
    );
  });

  it('is JSON of limited size that a jsonb column accepts, or null, for any value', () => {
    const values = fc.anything({ withBigInt: true, withDate: true, withMap: true, withSparseArray: true });

    fc.assert(
      fc.property(fc.oneof(values, fc.dictionary(trickyText, trickyText)), (value) => {
        const text = toRecordedJson(value) ?? 'null';

        expect(Buffer.byteLength(text)).toBeLessThanOrEqual(KIB_64);
        expect(isStorable(JSON.parse(text))).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});

describe('a result that JSON cannot hold', () => {
  it.each<[string, unknown, unknown, string]>([
    ['a Map', new Map([[1, 2]]), { notJson: 'a Map' }, 'result is a Map'],
    ['a Set in a list', [1, { ids: new Set([1]) }], [1, { ids: { notJson: 'a Set' } }], 'result[1].ids is a Set'],
    [
      'an error and a typed array',
      { 'the cause': new Error('x'), bytes: new Uint8Array(2) },
      { 'the cause': { notJson: 'an Error' }, bytes: { notJson: 'a Uint8Array' } },
      'result["the cause"] is an Error',
    ],
  ])('has a note in place of %s, and names the path', (_name, value, stored, loss) => {
    const recorded = recordResult(value);
    expect(JSON.parse(recorded.text!)).toEqual(stored);
    expect(recorded.loss).toBe(`${loss}, which JSON writes as empty; a note is stored in its place`);
  });

  const cyclic: { rows: unknown[] } = { rows: [] };
  cyclic.rows.push({ parent: cyclic });
  const broken = {
    toJSON: () => {
      throw new Error('broken');
    },
  };

  it.each<[string, unknown, string]>([
    ['a BigInt', 1n, 'result cannot be written as JSON, got a BigInt'],
    ['a function', () => 1, 'result cannot be written as JSON, got a function'],
    [
      'a BigInt in a list, behind what JSON omits',
      { skip: () => 1, no: undefined, at: new Date(0), rows: [1, { 'the id': 5n }] },
      'result.rows[1]["the id"] cannot be written as JSON, got a BigInt',
    ],
    ['a cycle', cyclic, 'result.rows[0].parent cannot be written as JSON, got a value that contains itself (a cycle)'],
    ['a toJSON that throws', [broken], 'result[0] cannot be written as JSON, got a value whose toJSON failed'],
  ])('is null with %s, and the place is named', (_name, value, loss) => {
    expect(recordResult(value)).toEqual({ text: null, loss: `${loss}; null is stored` });
  });

  it('is null with an object of the process that contains itself, and its place is named', () => {
    const { text, loss } = recordResult([globalThis]);
    expect(text).toBeNull();
    expect(loss).toMatch(/^result\[0\]\..* cannot be written as JSON, got .*; null is stored$/);
  });

  it.each([undefined, null, 1, 'a\u0000', [], {}, { at: new Date(0), no: undefined, nan: NaN }, Object.create(null)])(
    'is stored as before if nothing is lost: %p',
    (value) => {
      expect(recordResult(value)).toEqual({ text: toRecordedJson(value) });
    },
  );

  it.each(HOSTILE_VALUES)('never throws for %s', (_name, value) => {
    expect(() => recordResult(value)).not.toThrow();
    expect(() => recordResult({ inside: [value] })).not.toThrow();
  });
});

describe('a large result', () => {
  it('is kept up to 64 KiB', () => {
    const result = 'é'.repeat(KIB_64 / 2 - 1);

    expect(RECORDED_JSON_BYTES_MAX).toBe(KIB_64);
    expect(Buffer.byteLength(toRecordedJson(result)!)).toBe(KIB_64);
    expect(JSON.parse(toRecordedJson(result)!)).toBe(result);
  });

  it('is replaced by a note of its size one byte above', () => {
    expect(JSON.parse(toRecordedJson(`a${'é'.repeat(KIB_64 / 2 - 1)}`)!)).toEqual({
      truncated: true,
      bytes: KIB_64 + 1,
    });
  });

  it('is measured after characters were replaced', () => {
    const result = '\u0000'.repeat(20_000);

    expect(JSON.parse(toRecordedJson(result)!)).toBe('\ufffd'.repeat(20_000));
    expect(JSON.parse(toRecordedJson(result.repeat(2))!)).toEqual({ truncated: true, bytes: 120_002 });
  });

  it('takes linear time, even for a long run of backslashes', () => {
    const before = performance.now();
    const text = toRecordedJson('\\'.repeat(200_000));

    expect(JSON.parse(text!)).toEqual({ truncated: true, bytes: 400_002 });
    // A linear pass takes about 20 ms; a search back from every backslash takes over 30,000.
    expect(performance.now() - before).toBeLessThan(5_000);
  });
});

function fail(): never {
  throw new Error('hostile');
}

/** Nests deeper than any call stack. */
function endless(): unknown {
  return Array.from({ length: 200_000 }).reduce<unknown>((inner) => [inner], 0);
}

function isStorable(value: unknown): boolean {
  if (typeof value === 'string') return isStorableText(value);
  if (typeof value !== 'object' || value === null) return true;
  return Object.entries(value).every(([key, member]) => isStorableText(key) && isStorable(member));
}
