import { once } from 'node:events';
import { Readable } from 'node:stream';
import type { HttpExchange } from '../../lib/http/http-exchange.js';
import { readJsonBody } from '../../lib/http/json-body.js';

const headers = { 'content-type': 'application/json' };

const exchangeWith = (body: Readable, parsedBody?: unknown): HttpExchange => ({ headers, body, parsedBody }) as never;

describe('a JSON body', () => {
  it('of one who has left before it was read is not waited for', async () => {
    const body = new Readable({ read: () => undefined });
    body.destroy();
    await once(body, 'close');
    await expect(readJsonBody(exchangeWith(body), 100)).rejects.toMatchObject({ status: 400, code: 'INCOMPLETE_BODY' });
  });

  it('is what somebody in front has made of it, when he has read all of it', async () => {
    const body = Readable.from([Buffer.from('{"a":1}')]);
    await body.toArray();
    expect(await readJsonBody(exchangeWith(body, { a: 1 }), 100)).toEqual({ a: 1 });
  });

  it('is what came, whatever somebody in front says who has not read it', async () => {
    const body = Readable.from([Buffer.from('{"a":1}')]);
    expect(await readJsonBody(exchangeWith(body, {}), 100)).toEqual({ a: 1 });
  });
});
