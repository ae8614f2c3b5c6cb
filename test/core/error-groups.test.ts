import { setImmediate as nextTurn } from 'node:timers/promises';
import fc from 'fast-check';
import { ERROR_GROUP_OPTIONS, foldMessage, READ_MESSAGE_CHARS } from '../../lib/core/error-groups.js';
import { readOptions } from '../../lib/core/option-checks.js';
import { isStorableText } from '../../lib/core/text.js';
import { findInErrorGroup } from '../../lib/store/lists/error-group-search.js';
import { toErrorKey } from '../support/error-key.js';

const UUID = '0191e2a0-7c4d-7c9a-9f3a-2d5b8c1e4f60';

describe('the pattern of an error message', () => {
  it.each([
    ['Order 123 of customer 9f8e7d6c-0000-4000-8000-00000000002a', 'Order # of customer #'],
    ['Order #17 not found', 'Order # not found'],
    [`job ${UUID.toUpperCase()} is gone`, 'job # is gone'],
    ['timeout of 5000 ms exceeded', 'timeout of # ms exceeded'],
    ['waited 30s, got 12.5 %', 'waited #s, got # %'],
    ['balance is -12, was 1,234.50', 'balance is -#, was #'],
    ['connect ECONNREFUSED 127.0.0.1:5432', 'connect ECONNREFUSED #'],
    ['connect ECONNREFUSED ::1:5432', 'connect ECONNREFUSED #'],
    ['no route to fe80::1ff:fe23:4567:890a', 'no route to #'],
    ['due 2026-12-01T03:42:19.123Z is past', 'due # is past'],
    ['due 2026-12-01 03:42 is past', 'due # # is past'],
    ['no mailbox customer17@example.org', 'no mailbox #'],
    ["user 'a.b+c@mail.example.org' is blocked", "user '#' is blocked"],
    ['cannot find @nestjs/core', 'cannot find @nestjs/core'],
    ['ids [1, 2, 3] are missing', 'ids [#] are missing'],
    ['ids [1,20] are missing', 'ids [#] are missing'],
    ['object 507f1f77bcf86cd799439011', 'object #'],
    ['at 0x7ffe', 'at #'],
    ['commit deadbee1', 'commit #'],
    ['customer cus_NffrFeUfNV2Hib', 'customer cus_#'],
    ['ulid 01ARZ3NDEKTSV4RRFFQ69G5FAV', 'ulid #'],
    ['order-42/item_7 of user123', 'order-#/item_# of user#'],
    ['GET /orders/42/items?page=3', 'GET /orders/#/items?page=#'],
    ['S3 and utf8 and IPv4 and utf8mb4', 'S3 and utf8 and IPv4 and utf8mb4'],
    ['the service is down', 'the service is down'],
    ['std::bad_alloc in facade', 'std::bad_alloc in facade'],
    ['503 Service Unavailable', '503 Service Unavailable'],
    ['550 5.1.1 mailbox 17 unavailable', '550 # mailbox # unavailable'],
    ['Request 12 failed with status code 429', 'Request # failed with status code 429'],
    ['all recipients were rejected: 554 spam', 'all recipients were rejected: 554 spam'],
    ['HTTP 502 from host 17', 'HTTP 502 from host #'],
    ['Response code 404 (Not Found)', 'Response code 404 (Not Found)'],
    ['order 503 is gone', 'order # is gone'],
    ['took: 450 ms', 'took: # ms'],
    ['cost: 450.25', 'cost: #'],
    ['error 600 and code 4004', 'error # and code #'],
    ['', ''],
  ])('of %j is %j', (message, pattern) => {
    expect(foldMessage(message)).toBe(pattern);
    expect(foldMessage(pattern)).toBe(pattern);
  });

  it('is one for messages that differ in numbers and ids', () => {
    const message = fc
      .tuple(fc.nat(), fc.uuid())
      .map(([order, id]) => `Order ${order} of customer ${id}: 1 of ${order}`);
    fc.assert(fc.property(message, message, (one, other) => foldMessage(one) === foldMessage(other)));
  });

  it('is storable text of at most 1,000 characters, and the same for a part of 2,001 characters', () => {
    const words = fc.constantFrom('a', '7', '#', '@', '.', ':', '-', ' ', '😀', UUID, 'order ', 'a@b.c');
    fc.assert(
      fc.property(fc.array(words, { maxLength: 800, size: 'max' }), (parts) => {
        const message = parts.join('');
        const pattern = foldMessage(message);
        expect(pattern.length).toBeLessThanOrEqual(1_000);
        expect(isStorableText(pattern)).toBe(true);
        expect(foldMessage([...message].slice(0, 2_001).join(''))).toBe(pattern);
      }),
    );
  });

  it('of a megabyte takes a moment, whatever it repeats', () => {
    const before = process.cpuUsage();
    for (const part of ['a', '7', '#', '-', 'a1', 'ab@', '@.', '::', '1:', 'f', '1, ', '0-', 'a.b@c.']) {
      foldMessage(part.repeat(2 ** 20 / part.length));
      foldMessage(part.repeat(READ_MESSAGE_CHARS / part.length));
    }
    expect(process.cpuUsage(before).user).toBeLessThan(1_000_000);
  });
});

describe('the key of a group of errors', () => {
  it('depends on the topic and the pattern', () => {
    const key = toErrorKey('mail', 'order 1 is gone');
    expect(key).toMatch(/^[0-9a-f]{32}$/);
    expect(toErrorKey('mail', 'order 29 is gone')).toBe(key);
    expect(toErrorKey('sms', 'order 1 is gone')).not.toBe(key);
    expect(toErrorKey('mail', 'order 1 is lost')).not.toBe(key);
    expect(toErrorKey('ma', 'il')).not.toBe(toErrorKey('mail', ''));
  });
});

describe('the jobs of a group of errors', () => {
  it('are found between iterations of the event loop, also if their messages are long', async () => {
    const message = 'gone: '.padEnd(READ_MESSAGE_CHARS, '1, ');
    const rows = Array.from({ length: 500 }, (_, index) => ({ topic: 'mail', message, ids: `id-${index}` }));
    let isFound = false;
    const found = findInErrorGroup(rows, toErrorKey('mail', message)).finally(() => (isFound = true));
    let turns = 0;
    for (; !isFound; turns += 1) {
      await nextTurn();
    }
    expect(await found).toHaveLength(500);
    expect(turns).toBeGreaterThanOrEqual(8);
  });
});

describe('a page of groups', () => {
  it('is the first hundred that occurred last', () => {
    expect(readOptions(ERROR_GROUP_OPTIONS, {})).toEqual({ label: null, sort: 'last_seen', limit: 100, offset: 0 });
  });

  it.each([{ sort: 'newest' }, { limit: 0 }, { limit: 101 }, { offset: -1 }, { offset: 100_001 }, { page: 2 }])(
    'rejects %j',
    (page) => {
      expect(() => readOptions(ERROR_GROUP_OPTIONS, page)).toThrow(Object.keys(page)[0]);
    },
  );
});
