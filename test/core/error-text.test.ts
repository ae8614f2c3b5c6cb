import { readFileSync } from 'node:fs';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { LeaseLostError, SnoozeError } from '../../lib/core/errors.js';
import type { Failure } from '../../lib/core/error-text.js';
import {
  ERROR_MESSAGE_BYTES_MAX,
  ERROR_STACK_BYTES_MAX,
  toFailure,
  UNRECORDABLE_FAILURE,
} from '../../lib/core/error-text.js';
import { isStorableText } from '../../lib/core/text.js';
import { anyText } from '../support/unit/any-text.js';
import { HOSTILE_VALUES } from '../support/unit/hostile-values.js';
import { captureThrown } from '../support/unit/capture-thrown.js';

const KIB_8 = 8_192;

function expectStorable({ message, stack }: Failure): void {
  expect(typeof message).toBe('string');
  expect(isStorableText(message) && isStorableText(stack ?? '')).toBe(true);
  expect(Buffer.byteLength(message)).toBeLessThanOrEqual(KIB_8);
  expect(Buffer.byteLength(stack ?? '')).toBeLessThanOrEqual(KIB_8);
}

describe('the stored error of a failed attempt', () => {
  it('has the message and the stack of the thrown error', () => {
    const error = new TypeError('no such address');

    expect(toFailure(error)).toEqual({ message: 'no such address', stack: error.stack });
  });

  it('has the name of an error without a message', () => {
    class CardDeclinedError extends Error {
      override readonly name = 'CardDeclinedError';
    }

    expect(toFailure(new CardDeclinedError()).message).toBe('CardDeclinedError');
  });

  it('has the message of an error of this package', () => {
    expect(toFailure(new SnoozeError('5m')).message).toBe('snoozed for 5m');
    expect(toFailure(new LeaseLostError('7', 2)).message).toMatch(/^attempt 2 of job 7 has lost its lease/);
  });

  it.each<[unknown, string]>([
    ['out of paper', 'out of paper'],
    [undefined, 'thrown value: undefined'],
    [null, 'thrown value: null'],
    [0, 'thrown value: 0'],
    [10n, 'thrown value: 10'],
    [false, 'thrown value: false'],
    [Symbol('s'), 'thrown value: Symbol(s)'],
    [() => 1, 'thrown value: a function'],
    [[1], 'thrown value: an array'],
    [{ code: 7 }, 'thrown value: an object'],
  ])('describes the thrown value %p', (thrown, message) => {
    expect(toFailure(thrown)).toEqual({ message, stack: null });
  });

  it.each(HOSTILE_VALUES)('can be stored when %s is thrown', (_name, thrown) => {
    expectStorable(toFailure(thrown));
  });

  it('has the message of an error from another realm, such as those that Node throws under Jest', () => {
    const ofNode = toFailure(captureThrown(() => readFileSync('/no/such/file')));
    const ofContext = toFailure(runInNewContext('new RangeError("too far")'));
    const ofPlatform = toFailure(new DOMException('was aborted', 'AbortError'));

    expect(ofNode.message).toMatch(/^ENOENT: no such file/);
    expect(ofNode.stack).toContain('readFileSync');
    expect(ofContext.message).toBe('too far');
    expect(ofPlatform.message).toBe('was aborted');
  });

  it('has the message of any object with a message', () => {
    expect(toFailure({ code: 7, message: 'card declined' }).message).toBe('card declined');
  });

  it('has no stack when the stack of the error is not a string', () => {
    expect(toFailure(Object.assign(new Error('a'), { stack: undefined })).stack).toBeNull();
    expect(toFailure(Object.assign(new Error('a'), { stack: 7 })).stack).toBeNull();
  });

  it('has NUL and lone surrogates replaced', () => {
    const error = Object.assign(new Error('a\u0000b\ud83d'), { stack: 'at \u0000' });

    expect(toFailure(error)).toEqual({ message: 'a\ufffdb\ufffd', stack: 'at \ufffd' });
  });

  it('is a string even if the message of the error is not', () => {
    expect(toFailure(Object.assign(new Error(), { message: 404 })).message).toBe('404');
    expectStorable(toFailure(Object.assign(new Error(), { message: { a: 1 } })));
  });

  it('has the messages of all errors of an AggregateError', () => {
    const refused = [new Error('connect ECONNREFUSED ::1:25'), new Error('connect ECONNREFUSED 127.0.0.1:25')];
    const both = 'connect ECONNREFUSED ::1:25; connect ECONNREFUSED 127.0.0.1:25';
    const messages = [
      new AggregateError(refused),
      new AggregateError(refused, 'no mail server'),
      new TypeError('fetch failed', { cause: new AggregateError(refused, '') }),
      new AggregateError([refused[0], new Error('again', { cause: refused[1] }), refused[0]], 'no mail server'),
      new AggregateError([new Error('A', { cause: refused[0] }), new Error('B', { cause: refused[1] })], 'both'),
      new AggregateError([...Array.from({ length: 9 }, () => refused[0]), refused[1]], 'all', { cause: refused[0] }),
      new AggregateError(Array.from({ length: 50 }, (_, at) => new Error(`<${at}>`))),
      new AggregateError([]),
      Object.assign(new Error('refused'), { errors: [{ path: ['to'], message: 'required' }] }),
    ].map((error) => toFailure(error).message);

    expect(messages).toEqual([
      `AggregateError: ${both}`,
      `no mail server: ${both}`,
      `fetch failed: AggregateError: ${both}`,
      'no mail server: connect ECONNREFUSED ::1:25; again: connect ECONNREFUSED 127.0.0.1:25',
      'both: A: connect ECONNREFUSED ::1:25; B: connect ECONNREFUSED 127.0.0.1:25',
      `all: ${both}`,
      'AggregateError: <0>; <1>; <2>; <3>; <4>',
      'AggregateError',
      'refused',
    ]);
    const { stack } = toFailure(new TypeError('fetch failed', { cause: new AggregateError(refused, '') }));
    expect(stack!.match(/^\[cause\]: .*/gm)).toEqual([
      '[cause]: AggregateError: ',
      ...refused.map(({ message }) => `[cause]: Error: ${message}`),
    ]);
  });

  it('has the messages and stacks of causes', () => {
    const refused = new Error('connect ECONNREFUSED 127.0.0.1:9');
    const failed = new TypeError('fetch failed', { cause: refused });
    const { message, stack } = toFailure(new Error('the mail server is away', { cause: failed }));

    expect(message).toBe('the mail server is away: fetch failed: connect ECONNREFUSED 127.0.0.1:9');
    expect(stack!.match(/^\[cause\]: .*/gm)).toEqual([
      '[cause]: TypeError: fetch failed',
      '[cause]: Error: connect ECONNREFUSED 127.0.0.1:9',
    ]);
    for (const said of ['no: out of paper', 'out of paper: no', 'no: out of paper: at all']) {
      expect(toFailure(new Error(said, { cause: 'out of paper' })).message).toBe(said);
    }
    const hostile = Object.defineProperty({}, 'message', {
      get: () => {
        throw new Error('trap');
      },
    });
    for (const cause of [null, 7, { code: 7 }, { message: '' }, hostile]) {
      expect(toFailure(new Error('no', { cause })).message).toBe('no');
    }
    const stackless = Object.defineProperty(new Error('why'), 'stack', {
      get: () => {
        throw new Error('trap');
      },
    });
    expect(toFailure(new Error('no', { cause: stackless })).message).toBe('no: why');
    expect(toFailure(stackless)).toEqual({ message: 'why', stack: null });
    expect(toFailure(new Error('cannot connect', { cause: new Error('no') })).message).toBe('cannot connect: no');
  });

  it('ends when causes are cyclic or endless', () => {
    const round = new Error('one');
    round.cause = new Error('two', { cause: round });
    const { message, stack } = toFailure(round);
    expect(message).toBe('one: two');
    expect(stack!.match(/^\[cause\]: .*/gm)).toEqual(['[cause]: Error: two']);

    const deep = Array.from({ length: 50 }, (_, at) => at).reduce<Error | undefined>(
      (cause, at) => new Error(`<${at}>`, { cause }),
      undefined,
    );
    expect(toFailure(deep).message).toBe('<49>: <48>: <47>: <46>: <45>: <44>');
    expectStorable(toFailure(new Error('a', { cause: new Error('ä'.repeat(1_000_000)) })));
  });

  it('can be stored for any thrown value', () => {
    const values = fc.oneof(fc.anything({ withBigInt: true, withNullPrototype: true }), anyText);
    // Has no stack, since creating stacks would dominate the time.
    const errors = fc
      .tuple(values, values)
      .map(([message, stack]) => Object.assign(Object.create(Error.prototype) as Error, { message, stack }));

    fc.assert(
      fc.property(fc.oneof(values, errors), (thrown) => {
        expectStorable(toFailure(thrown));
      }),
      { numRuns: 500 },
    );
  });

  it('has a replacement that can be stored when the database rejects the original', () => {
    expectStorable(UNRECORDABLE_FAILURE);
  });
});

describe('a long error text', () => {
  it('is kept up to 8 KiB', () => {
    const message = 'é'.repeat(KIB_8 / 2);

    expect([ERROR_MESSAGE_BYTES_MAX, ERROR_STACK_BYTES_MAX]).toEqual([KIB_8, KIB_8]);
    expect(toFailure(new Error(message)).message).toBe(message);
  });

  it('is cut to 8 KiB, in message and stack', () => {
    const error = Object.assign(new Error('m'.repeat(100_000)), { stack: 's'.repeat(100_000) });

    expect(toFailure(error)).toEqual({ message: 'm'.repeat(KIB_8), stack: 's'.repeat(KIB_8) });
  });

  it.each([0, 1, 2, 3])('is cut at a code point, with %d bytes before characters of four bytes', (bytes) => {
    const before = 'a'.repeat(bytes);
    const fitting = Math.floor((KIB_8 - bytes) / 4);

    expect(toFailure(before + '😀'.repeat(5_000)).message).toBe(before + '😀'.repeat(fitting));
  });

  it('does not exceed 8 KiB after replacements', () => {
    expectStorable(toFailure(new Error('\u0000'.repeat(8_000))));
  });
});
