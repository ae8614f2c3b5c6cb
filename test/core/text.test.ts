import fc from 'fast-check';
import {
  byteLength,
  cutToBytes,
  countExponentDigits,
  isDate,
  isStorableText,
  toStorableText,
} from '../../lib/core/text.js';
import { anyText } from '../support/unit/any-text.js';
import { runInNewContext } from 'node:vm';

describe('text', () => {
  it.each([
    ['', true],
    ['plain, é, €, 😀', true],
    ['\u0001\u001f\u007f\uffff', true],
    ['a\u0000b', false],
    ['\ud83d', false],
    ['\ude00', false],
    ['\ude00\ud83d', false],
  ])('%p is storable: %p', (text, isStorable) => {
    expect(isStorableText(text)).toBe(isStorable);
  });

  it('has only NUL and lone surrogates replaced', () => {
    expect(toStorableText('a\u0000b\ud83dc\ude00d😀\u0001')).toBe('a\ufffdb\ufffdc\ufffdd😀\u0001');
  });

  it('made storable has the same length and does not change again', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const storable = toStorableText(text);

        expect(isStorableText(storable)).toBe(true);
        expect(storable).toHaveLength(text.length);
        expect(toStorableText(storable)).toBe(storable);
      }),
    );
  });

  it('that is storable is not changed', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        fc.pre(isStorableText(text));

        expect(toStorableText(text)).toBe(text);
      }),
    );
  });

  it.each([
    ['abc', 3, 'abc'],
    ['abc', 2, 'ab'],
    ['aé', 2, 'a'],
    ['aé', 3, 'aé'],
    ['a€', 3, 'a'],
    ['a😀', 4, 'a'],
    ['a😀', 5, 'a😀'],
    ['😀', 0, ''],
  ])('%p cut to %d bytes is %p', (text, bytesMax, cut) => {
    expect(cutToBytes(text, bytesMax)).toBe(cut);
  });

  it('is cut between code points, as close to the limit as possible', () => {
    fc.assert(
      fc.property(anyText.map(toStorableText), fc.nat({ max: 60 }), (text, bytesMax) => {
        const cut = cutToBytes(text, bytesMax);
        const [next = ''] = text.slice(cut.length);

        expect(text.startsWith(cut)).toBe(true);
        expect(cut.isWellFormed()).toBe(true);
        expect(Buffer.byteLength(cut)).toBeLessThanOrEqual(bytesMax);
        expect(next === '' || Buffer.byteLength(cut + next) > bytesMax).toBe(true);
      }),
    );
  });

  it('is measured in UTF-8 bytes', () => {
    expect(['', 'a', 'é', '€', '😀'].map(byteLength)).toEqual([0, 1, 2, 3, 4]);
  });

  it.each([
    ['""', 0],
    ['[1.5,-2,0.001]', 0],
    ['1e+308', 308],
    ['[-1.5e-300,2]', 300],
    ['{"a":1E5,"b":[2e7]}', 12],
    ['{"1e9":"2e9","\\\\":"[3e9","\\":4e9":[5e9]}', 9],
  ])('%s has at most %d more digits without exponents', (json, digits) => {
    expect(countExponentDigits(json)).toBe(digits);
  });

  it('of 60 MB is searched for exponents', () => {
    for (const character of ['x', '\\', '"']) {
      expect(countExponentDigits(JSON.stringify([character.repeat(30_000_000), 1e300]))).toBe(300);
    }
  });
});

describe('a Date', () => {
  it.each([new Date(), new Date(NaN), runInNewContext('new Date()'), new (class extends Date {})()])(
    'is recognized: %p',
    (value) => {
      expect(isDate(value)).toBe(true);
    },
  );

  it('is not an object that only looks like a Date', () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    const others = [{ [Symbol.toStringTag]: 'Date' }, Object.create(Date.prototype), proxy, Date.now(), 'now', null];
    expect(others.map(isDate)).toEqual(others.map(() => false));
  });
});
