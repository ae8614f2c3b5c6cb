import { InvalidPayloadError } from '../../lib/core/errors.js';
import { encodePayload } from '../../lib/core/payload.js';
import { revokedProxy } from '../support/unit/hostile-values.js';
import { captureThrown } from '../support/unit/capture-thrown.js';

const MIB = 1_048_576;

function catchError(payload: unknown, subject?: string): InvalidPayloadError {
  const error = captureThrown(() => encodePayload(payload, MIB, subject));
  expect(error).toBeInstanceOf(InvalidPayloadError);
  return error as InvalidPayloadError;
}

function nested(levels: number): unknown {
  return Array.from({ length: levels }).reduce<unknown>((inner) => ({ a: inner }), 'innermost');
}

describe('an invalid value in a payload', () => {
  const sparse = [0];
  sparse[2] = 2;

  it.each<[string, unknown, string]>([
    ['undefined', undefined, 'expected a JSON value, got undefined'],
    ['NaN', NaN, 'expected a finite number, got NaN'],
    ['Infinity', Infinity, 'expected a finite number, got Infinity'],
    ['−Infinity', -Infinity, 'expected a finite number, got -Infinity'],
    ['a BigInt', 1n, 'expected a JSON value, got bigint'],
    ['a function', () => 1, 'expected a JSON value, got function'],
    ['a class', class {}, 'expected a JSON value, got function'],
    ['a symbol', Symbol('s'), 'expected a JSON value, got symbol'],
    ['text with NUL', 'a\u0000', 'text holds a NUL character'],
    ['text with a high surrogate alone', 'a\ud83d', 'text holds a lone surrogate'],
    ['text with a low surrogate alone', '\ude00a', 'text holds a lone surrogate'],
    ['an invalid date', new Date(NaN), 'expected a JSON value, got an invalid date'],
    ['a Map', new Map([[1, 2]]), 'expected a JSON value, got a Map, which JSON writes as empty'],
    ['a Set', new Set([1]), 'expected a JSON value, got a Set, which JSON writes as empty'],
    ['a WeakMap', new WeakMap(), 'expected a JSON value, got a WeakMap, which JSON writes as empty'],
    ['a promise', Promise.resolve(1), 'expected a JSON value, got a Promise, which JSON writes as empty'],
    ['a regular expression', /a/, 'expected a JSON value, got a RegExp, which JSON writes as empty'],
    ['an ArrayBuffer', new ArrayBuffer(1), 'expected a JSON value, got an ArrayBuffer, which JSON writes as empty'],
    ['a typed array', new Uint8Array(1), 'expected a JSON value, got a Uint8Array, which JSON writes as empty'],
  ])('is rejected with its path: %s', (_name, value, reason) => {
    for (const [payload, path] of [
      [value, 'payload'],
      [[0, value], 'payload[1]'],
      [{ items: [{}, { prices: [value] }] }, 'payload.items[1].prices[0]'],
    ] as const) {
      expect(catchError(payload)).toMatchObject({
        code: 'INVALID_PAYLOAD',
        path,
        reason,
        message: `${path}: ${reason}`,
      });
    }
  });

  it('is rejected when it is a hole of a sparse array, which JSON would write as null', () => {
    expect(catchError({ sparse }).message).toBe('payload.sparse[1]: expected a JSON value, got undefined');
    expect(catchError(new Array(1e9)).path).toBe('payload[0]');
  });

  it.each<[string, unknown]>([
    ['an error', new Error('lost')],
    ['search parameters', new URLSearchParams('a=1')],
    ['an iterator', [].values()],
    ['a weak reference', new WeakRef({})],
    ['shared memory', new SharedArrayBuffer(1)],
    ['a boxed symbol', Object(Symbol('s'))],
    ['a boxed NaN', Object(NaN)],
    ['a boxed BigInt', Object(1n)],
  ])('is rejected when JSON would write it as empty: %s', (_name, value) => {
    expect(catchError({ value }).path).toBe('payload.value');
  });

  it('is rejected with the given name of the value', () => {
    expect(catchError({ by: NaN }, 'metadata').path).toBe('metadata.by');
  });
});

describe('an invalid key in a payload', () => {
  it.each([
    ['NUL', 'a\u0000b', 'payload.row["a\\u0000b"]', 'text holds a NUL character'],
    ['a lone surrogate', 'a\ud83d', 'payload.row["a\\ud83d"]', 'text holds a lone surrogate'],
  ])('is rejected for %s', (_name, key, path, reason) => {
    expect(catchError({ row: { [key]: 1 } })).toMatchObject({ path, reason });
  });

  it('is rejected inside __proto__', () => {
    expect(catchError(JSON.parse('{"__proto__":{"\\u0000":1}}')).path).toBe('payload.__proto__["\\u0000"]');
  });
});

describe('the path of a rejected value', () => {
  it.each([
    ['plain', 'payload.plain'],
    ['$with_1', 'payload.$with_1'],
    ['1st', 'payload["1st"]'],
    ['with space', 'payload["with space"]'],
    ['dot.ted', 'payload["dot.ted"]'],
    ['quo"ted', 'payload["quo\\"ted"]'],
    ['é', 'payload["é"]'],
    ['', 'payload[""]'],
    ['__proto__', 'payload.__proto__'],
  ])('shows the key %p readably', (key, path) => {
    expect(catchError(Object.fromEntries([[key, NaN]])).path).toBe(path);
  });
});

describe('a payload that contains itself', () => {
  it('is rejected at the cycle in an object', () => {
    const order: Record<string, unknown> = { lines: [] };
    (order.lines as unknown[]).push({ order });

    expect(catchError(order).message).toBe('payload.lines[0].order: contains itself (a cycle)');
  });

  it('is rejected at the cycle in an array', () => {
    const list: unknown[] = [1];
    list.push(list);

    expect(catchError({ list }).path).toBe('payload.list[1]');
  });

  it('is rejected when a toJSON returns its own parent', () => {
    const parent: Record<string, unknown> = {};
    parent.child = { toJSON: () => ({ parent }) };

    expect(catchError(parent).path).toBe('payload.child.parent');
  });
});

describe('a payload that is too deep', () => {
  it('is rejected at the 65th level', () => {
    expect(() => encodePayload(nested(64), MIB)).not.toThrow();
    expect(catchError(nested(65))).toMatchObject({
      path: `payload${'.a'.repeat(64)}`,
      reason: 'is nested deeper than 64 levels',
    });
  });

  it('is rejected without a stack overflow at any depth', () => {
    expect(catchError(nested(100_000)).reason).toBe('is nested deeper than 64 levels');
  });

  it('is rejected when each toJSON adds a level', () => {
    class Endless {
      toJSON(): unknown {
        return { next: new Endless() };
      }
    }

    expect(catchError(new Endless()).reason).toBe('is nested deeper than 64 levels');
  });
});

describe('a toJSON method', () => {
  it('that throws is named in the error, whose cause is the thrown error', () => {
    const cause = new Error('not signed in');
    const failing = {
      toJSON: () => {
        throw cause;
      },
    };
    const error = catchError({ user: failing });

    expect(error.message).toBe('payload.user: its toJSON failed');
    expect(error.cause).toBe(cause);
  });

  it.each<[string, unknown, string]>([
    ['NaN', NaN, 'expected a finite number, got NaN'],
    ['a BigInt', 1n, 'expected a JSON value, got bigint'],
    ['undefined', undefined, 'expected a JSON value, got undefined'],
    ['NUL', '\u0000', 'text holds a NUL character'],
    ['a Map', new Map(), 'expected a JSON value, got a Map, which JSON writes as empty'],
  ])('that returns %s is rejected', (_name, given, reason) => {
    expect(catchError({ value: { toJSON: () => given } })).toMatchObject({ path: 'payload.value', reason });
  });

  it('that returns an object with another toJSON is rejected, since JSON calls only the first', () => {
    expect(catchError([{ toJSON: () => new URL('http://a.example/') }])).toMatchObject({
      path: 'payload[0]',
      reason: 'its toJSON returned an object that has a toJSON itself',
    });
  });

  it('that throws only at its second call is rejected', () => {
    let calls = 0;
    const fickle = {
      toJSON: () => {
        calls += 1;
        if (calls > 1) throw new Error('gone');
        return 1;
      },
    };

    expect(catchError({ fickle })).toMatchObject({ path: 'payload', reason: 'cannot be written as JSON' });
  });
});

describe('an unreadable value', () => {
  const cause = new Error('hostile');
  const fails = (): never => {
    throw cause;
  };

  it.each<[string, unknown]>([
    ['for a getter', Object.defineProperty({}, 'a', { get: fails, enumerable: true })],
    ['for the getter of its toJSON', Object.defineProperty({}, 'toJSON', { get: fails })],
    ['for a proxy that throws', new Proxy({}, { ownKeys: fails })],
    ['for a proxy that was revoked', revokedProxy()],
  ])('is rejected with its path, %s', (_name, value) => {
    const error = catchError({ value: [value] });

    expect(error.path).toMatch(/^payload\.value\[0\]/);
    expect(error.cause).toBeDefined();
  });
});
