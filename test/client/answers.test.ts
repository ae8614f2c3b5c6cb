import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { JobsApiError, JobsClient } from 'nestjs-jobs/client';
import { cut, cutInTheMiddle, empty, html, json, refusal, useScriptedServer } from './support/scripted-server.js';

const server = useScriptedServer();

async function failureOf(call: Promise<unknown>): Promise<JobsApiError> {
  const error = await call.then(
    () => new Error('the call succeeded'),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(JobsApiError);
  return error as JobsApiError;
}

describe('a response', () => {
  let jobs: JobsClient;
  beforeEach(() => {
    jobs = new JobsClient({ baseUrl: server.url, retries: 0 });
  });

  it('with an error becomes an ApiError with status, code, message and fields', async () => {
    server.answers(refusal(400, 'INVALID_REQUEST', { data: { priority: 'expected −1000 to 1000, got 5000' } }));

    const error = await failureOf(jobs.enqueue('a', 1, { priority: 5000 }));
    expect(error).toMatchObject({
      name: 'JobsApiError',
      status: 400,
      code: 'INVALID_REQUEST',
      message: 'refused: INVALID_REQUEST',
      data: { priority: 'expected −1000 to 1000, got 5000' },
    });
    expect(error).toBeInstanceOf(Error);
  });

  it.each([401, 403, 404, 409, 413, 422, 500])('with status %d and no named field has empty `data`', async (status) => {
    server.answers(json(status, { status, code: 'SOME_CODE', message: 'no' }));

    expect(await failureOf(jobs.get('x'))).toMatchObject({ status, code: 'SOME_CODE', data: {} });
  });

  it.each([
    [500, '7', 7_000],
    [503, '0', 0],
    [503, 'soon', undefined],
    [503, 'Wed, 21 Oct 2015 07:28:00 GMT', 0],
  ])('with status %d and Retry-After has retryAfterMs (%s)', async (status, header, ms) => {
    server.answers(refusal(status, 'SOME_CODE', { headers: { 'Retry-After': header } }));

    expect(await failureOf(jobs.delete('x'))).toMatchObject({ retryAfterMs: ms });
  });

  it('from a proxy becomes an error that names the request and quotes the page', async () => {
    server.answers(html(502));

    expect(await failureOf(jobs.list({ q: 'private words' }))).toMatchObject({
      status: 502,
      code: 'HTTP_502',
      data: {},
      message: `GET ${server.url}/api/jobs: 502 Bad Gateway: text/html '<html> <h1>Bad Gateway</h1> </html>'`,
    });
  });

  it('with a long page is quoted in part', async () => {
    server.answers(html(500, 'x'.repeat(100_000)));

    const { message } = await failureOf(jobs.stats());
    expect(message.length).toBeLessThan(300);
    expect(message).toMatch(/x…'$/);
  });

  it('with foreign JSON becomes an error that quotes it', async () => {
    server.answers(json(404, { statusCode: 404, message: 'Cannot GET /api/jobs/stats', error: 'Not Found' }));

    const error = await failureOf(jobs.stats());
    expect(error).toMatchObject({ status: 404, code: 'HTTP_404' });
    expect(error.message).toContain('Cannot GET /api/jobs/stats');
  });

  it.each([
    ['a page', html(200), /expected JSON, got text\/html '<html>/],
    ['nothing', empty(200), /expected JSON, got a response without a type ''/],
    ['a bare word', json(200, 'ok'), /expected JSON, got application\/json; charset=utf-8 '"ok"'/],
  ])('with status 200 and %s instead of an object is an error', async (_, answer, message) => {
    server.answers(answer);

    const error = await failureOf(jobs.stats());
    expect(error).toMatchObject({ status: 200, code: 'INVALID_RESPONSE' });
    expect(error.message).toMatch(message);
  });

  it.each([
    ['before the response', cut],
    ['during the response', cutInTheMiddle],
  ])('with a connection that is cut %s is a network error with its cause', async (_, answer) => {
    server.answers(answer);

    const error = await failureOf(jobs.list());
    expect(error).toMatchObject({ status: 0, code: 'NETWORK', data: {} });
    expect(error.message).toMatch(/^GET http:.*\/api\/jobs: no response: /);
    expect(error.cause).toBeDefined();
  });

  it('from no server is a network error with the reason', async () => {
    const closed = createServer();
    await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve));
    const { port } = closed.address() as AddressInfo;
    await new Promise((resolve) => closed.close(resolve));

    const error = await failureOf(new JobsClient({ baseUrl: `http://127.0.0.1:${port}`, retries: 0 }).stats());
    expect(error).toMatchObject({ status: 0, code: 'NETWORK' });
    expect(error.message).toContain('ECONNREFUSED');
  });

  it('is parsed by the given function, whose error is the result', async () => {
    server.answers(json(200, { total: 7 }));
    const withParse = (parse: (text: string) => unknown) => new JobsClient({ baseUrl: server.url, retries: 0, parse });

    expect(await withParse((text) => ({ text })).stats()).toEqual({ text: '{"total":7}' });
    expect(await failureOf(withParse(() => void 0).stats())).toMatchObject({ code: 'INVALID_RESPONSE' });
  });

  it('may be large', async () => {
    const items = Array.from({ length: 50_000 }, (_, index) => ({ id: String(index), payload: 'é😀'.repeat(5) }));
    server.answers(json(200, { items }));

    expect((await jobs.list()).items).toEqual(items);
  });
});
