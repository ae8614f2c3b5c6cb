import { once } from 'node:events';
import { PassThrough, Readable } from 'node:stream';
import { readJsonBody } from '../../lib/http/request-body.js';

const headers = { 'content-type': 'application/json' };

describe('readJsonBody', () => {
  it('rejects when the caller disconnected before the body was read', async () => {
    const stream = new Readable({ read: () => undefined });
    stream.destroy();
    await once(stream, 'close');
    const body = readJsonBody({ headers, stream, parsed: undefined }, 100);
    await expect(body).rejects.toMatchObject({ status: 400, code: 'INCOMPLETE_BODY' });
  });

  it('returns what a platform in front has parsed', async () => {
    const stream = Readable.from([Buffer.from('{"a":1}')]);
    await stream.toArray();
    expect(await readJsonBody({ headers, stream, parsed: { a: 1 } }, 100)).toEqual({ a: 1 });
  });

  it('ignores what a platform in front says of a body that it has not read', async () => {
    const stream = Readable.from([Buffer.from('{"a":1}')]);
    expect(await readJsonBody({ headers, stream, parsed: {} }, 100)).toEqual({ a: 1 });
  });
});

describe('readJsonBody with a slow sender', () => {
  afterEach(() => jest.useRealTimers());

  it('waits at most a minute, even while bytes arrive', async () => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate'] });
    const stream = new PassThrough();
    const body = { headers: { ...headers, 'transfer-encoding': 'chunked' }, stream, parsed: undefined };
    const error = readJsonBody(body, 1_048_576).catch((reason: unknown) => reason);
    for (let second = 0; second < 60; second += 1) {
      stream.write('[');
      await jest.advanceTimersByTimeAsync(1_000);
    }
    expect(await error).toMatchObject({ status: 408, code: 'REQUEST_TIMEOUT', headers: { Connection: 'close' } });
    // The reader keeps nothing of what still arrives.
    expect(stream.listenerCount('data')).toBe(0);
  });

  it('leaves no timer behind when the body ends in time', async () => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate'] });
    const stream = new PassThrough();
    stream.end('[1]');
    expect(await readJsonBody({ headers, stream, parsed: undefined }, 1_048_576)).toEqual([1]);
    expect(jest.getTimerCount()).toBe(0);
  });
});
