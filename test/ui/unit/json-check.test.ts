import { checkJson } from '../../../ui/src/json/json-check.js';

describe('checkJson', () => {
  it('returns the value and its size in bytes', () => {
    expect(checkJson('{ "a": "ä" }')).toEqual({ ok: true, value: { a: 'ä' }, bytes: 13 });
  });

  it.each([
    ['{\n  "a": 1,\n}', 3],
    ['{\n  "a": tru\n}', 2],
    ['[1,\n2', 2],
    ['{\n  "a": 1,\n  "b": yes,\n  "c": 2\n}', 3],
    ['', 1],
  ])('returns the line of the error in %j: about %d', (text, line) => {
    const check = checkJson(text);
    expect(check).toMatchObject({ ok: false });
    expect(Math.abs((check as { line: number }).line - line)).toBeLessThan(2);
  });

  it('quotes the invalid word', () => {
    expect(checkJson('{\n  "a": tru\n}')).toEqual({ ok: false, message: '“tru” is not valid JSON', line: 2 });
  });
});
