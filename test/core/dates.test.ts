import { runInNewContext } from 'node:vm';
import { isDate } from '../../lib/core/dates.js';

describe('a Date', () => {
  it.each([new Date(), new Date(NaN), runInNewContext('new Date()'), new (class extends Date {})()])(
    'is %p',
    (value) => {
      expect(isDate(value)).toBe(true);
    },
  );

  it('is nothing that only looks like one', () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    const others = [{ [Symbol.toStringTag]: 'Date' }, Object.create(Date.prototype), proxy, Date.now(), 'now', null];
    expect(others.map(isDate)).toEqual(others.map(() => false));
  });
});
