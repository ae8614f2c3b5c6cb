import crypto from 'node:crypto';
import { AdminToken } from '../../lib/http/caller-resolver.js';
import { readJobsOptions } from '../../lib/core/options.js';
import type { HttpSettings } from '../../lib/core/http-options.js';

const TOKEN = 'a-token-of-some-length';

describe('the admin token', () => {
  const { http } = readJobsOptions({ http: { adminToken: TOKEN } });
  const token = AdminToken.from(http as HttpSettings)!;

  it.each([
    ['itself', TOKEN],
    ['nothing', ''],
    ['one letter', 'b'],
    ['another first letter', `b${TOKEN.slice(1)}`],
    ['another last letter', `${TOKEN.slice(0, -1)}x`],
    ['one letter more', `${TOKEN}x`],
    ['as much as fits into a header', 'x'.repeat(8_000)],
  ])('is compared as digests of equal length, in constant time: %s', (_, given) => {
    const compare = jest.spyOn(crypto, 'timingSafeEqual');
    try {
      expect(token.isIn(`Bearer ${given}`)).toBe(given === TOKEN);
      const lengths = compare.mock.calls.map((pair) => pair.map(({ byteLength }) => byteLength));
      // Without a token there is nothing to compare.
      expect(lengths).toEqual(given === '' ? [] : [[32, 32]]);
    } finally {
      compare.mockRestore();
    }
  });

  it('is stored only as a digest', () => {
    expect(JSON.stringify(token)).not.toContain(TOKEN);
    expect(JSON.stringify(Object.values(token))).not.toContain(TOKEN);
  });
});
