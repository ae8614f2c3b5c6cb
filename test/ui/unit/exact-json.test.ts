import fc from 'fast-check';
import { ExactNumber, parseExact, printJson } from '../../../ui/src/json/exact-json.js';
import { jsonSnippet } from '../../../ui/src/json/json-snippet.js';

describe('JSON with exact numbers', () => {
  it.each([
    '12345678901234567890',
    '-0.10000000000000000001',
    '1e400',
    '9007199254740993',
    '123456789.1234567891',
    '[1,{"a":18446744073709551615}]',
  ])('keeps %s unchanged', (text) => {
    expect(printJson(parseExact(text)).replace(/\s/g, '')).toBe(text);
    expect(parseExact(text)).not.toEqual(JSON.parse(text));
  });

  it.each(['1.50', '1e3', '0.10', '-0', '12345678901234567000', '"12345678901234567890"', '"\\"1e400"'])(
    'parses %s like JSON.parse',
    (text) => {
      expect(parseExact(text)).toEqual(JSON.parse(text));
    },
  );

  it('reads everything that JSON.stringify writes', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = JSON.stringify(value);
        expect(parseExact(text)).toEqual(JSON.parse(text));
        expect(JSON.parse(printJson(parseExact(text)))).toEqual(JSON.parse(text));
      }),
    );
  });

  it('never parses text of a payload as a number, even if it looks like an internal mark', () => {
    const marks: string[] = [];
    const spy = { toJSON: () => (marks.push(String(new ExactNumber('1e400').toJSON())), null) };
    printJson(spy);
    expect(marks).toEqual([expect.stringMatching(/.:1e400$/)]);
    for (const text of [...marks, '\uE000exact:await fetch(1)']) {
      const value = { [text]: text, exact: parseExact('1e400') };
      expect(printJson(value)).toBe(`{\n  ${JSON.stringify(text)}: ${JSON.stringify(text)},\n  "exact": 1e400\n}`);
      expect(parseExact(printJson(value))).toEqual(value);
    }
  });

  it('throws instead of rounding in JSON.stringify', () => {
    expect(() => JSON.stringify(parseExact('{"id":12345678901234567890}'))).toThrow(
      '12345678901234567890 would be rounded',
    );
  });

  it('shows the start of a value on one line without reading all of it', () => {
    expect(jsonSnippet({ orderId: 7, 'a b': [true, null], none: {}, big: new ExactNumber('1e400') })).toBe(
      '{ orderId: 7, "a b": [true, null], none: {}, big: 1e400 }',
    );
    expect(jsonSnippet('x'.repeat(1_000_000), 100).length).toBeLessThan(110);
    expect(
      jsonSnippet(
        Array.from({ length: 100_000 }, () => ({ a: 1 })),
        100,
      ).length,
    ).toBeLessThan(120);
  });
});
