/** @matrix fastify, nest-11 */

import { connect } from 'node:net';
import { once } from 'node:events';
import { gzipSync } from 'node:zlib';
import type { INestApplication } from '@nestjs/common';
import { Body, Controller, Post } from '@nestjs/common';
import type { Job } from '../../client/wire.js';
import { postgres, sqliteFile } from '../nest/support/database-kinds.js';
import { some } from '../nest/support/matchers.js';
import { express, fastify } from './support/adapters.js';
import { ADMIN_TOKEN, useHttpApps, useOneHttpApp } from './support/http-apps.js';
import type { RawResponse } from './support/raw-request.js';
import { sendRaw } from './support/raw-request.js';

const MEBIBYTE = 1024 * 1024;
const ABSENT = '018f3f5e-7b5a-7000-8000-000000000000';

const places = [
  { adapter: 'Express', adapterKind: express, database: postgres.label, kind: postgres },
  { adapter: 'Fastify', adapterKind: fastify, database: sqliteFile.label, kind: sqliteFile },
];

/** What the application has beside the queue. */
@Controller('orders')
class OrdersController {
  @Post()
  place(@Body() body: unknown): unknown {
    return { taken: JSON.stringify(body)?.length ?? null };
  }
}

type Content = Parameters<typeof sendRaw>[1]['body'];

function sender(url: () => string) {
  return async (path: string, body?: Content, headers: Record<string, string> = {}, method = 'POST') => {
    const answer = await sendRaw(url(), {
      method,
      path,
      headers: { Authorization: `Bearer ${ADMIN_TOKEN}`, 'Content-Type': 'application/json', ...headers },
      body,
    });
    return {
      ...answer,
      body: answer.text.startsWith('{') ? (JSON.parse(answer.text) as Record<string, unknown>) : undefined,
    };
  };
}

describe.each(places)('request bodies on $adapter with $database', ({ kind, adapterKind }) => {
  const app = useOneHttpApp(kind, adapterKind, { options: { role: 'producer' } });
  const send = sender(() => app().url);

  const refusal = (status: number, code: string, ...fields: string[]) => ({
    status,
    body: {
      status,
      code,
      message: some(String),
      data: Object.fromEntries(fields.map((field) => [field, some(String)])),
    },
  });

  it('may hold a payload of exactly 1 MiB', async () => {
    const longest = JSON.stringify('x'.repeat(MEBIBYTE - 2));
    const longer = JSON.stringify('x'.repeat(MEBIBYTE - 1));
    const around = (payload: string) =>
      `{"topic":"a","delay":"1h","metadata":{"a":"${'m'.repeat(9_000)}"},"payload":${payload}}`;
    const stored = await send('/api/jobs/enqueue', around(longest));
    expect(stored.status).toBe(201);
    expect(await send('/api/jobs/enqueue', around(longer))).toMatchObject(refusal(413, 'PAYLOAD_TOO_LARGE', 'payload'));

    expect((await send('/api/jobs/enqueue-many', `{"jobs":[${around('1')},${around(longest)}]}`)).status).toBe(201);
    expect(await send('/api/jobs/enqueue-many', `{"jobs":[${around('1')},${around(longer)}]}`)).toMatchObject(
      refusal(413, 'PAYLOAD_TOO_LARGE', 'jobs[1].payload'),
    );

    const { id } = stored.body as unknown as Job;
    await app().jobs.cancel(id);
    expect(await send(`/api/jobs/${id}/requeue`, `{"payload":${longer}}`)).toMatchObject(
      refusal(413, 'PAYLOAD_TOO_LARGE', 'payload'),
    );
    expect((await send(`/api/jobs/${id}/requeue`, `{"payload":${longest}}`)).status).toBe(200);
  });

  it('measure a payload in UTF-8 bytes, without escapes and white space', async () => {
    const job = (payload: string) => `{"topic":"a","delay":"1h","payload":${payload}}`;
    const cases: [string, number][] = [
      [`"${'ä'.repeat(MEBIBYTE / 2 - 1)}"`, 201],
      [`"${'ä'.repeat(MEBIBYTE / 2)}"`, 413],
      [`"${'😀'.repeat(MEBIBYTE / 4)}"`, 413],
      // Six bytes in the request for one that is stored.
      [`"${'\\u0041'.repeat(MEBIBYTE - 2)}"`, 201],
      [`"${'\\u0041'.repeat(MEBIBYTE - 1)}"`, 413],
      [`${' '.repeat(2 * MEBIBYTE)}[1]${'\n'.repeat(2 * MEBIBYTE)}`, 201],
    ];
    for (const [payload, status] of cases) {
      expect((await send('/api/jobs/enqueue', job(payload))).status).toBe(status);
    }
  });

  it('may be 8 MiB long, and 16 MiB for many jobs, with and without a length', async () => {
    const filled = (bytes: number, text: string) => text + ' '.repeat(bytes - text.length);
    const job = '{"topic":"a","delay":"1h","payload":1}';
    const routes: [string, number, string, number][] = [
      ['/enqueue', 8, job, 201],
      ['/enqueue-many', 16, `{"jobs":[${job}]}`, 201],
      ['/bulk', 16, `{"action":"delete","ids":["${ABSENT}"]}`, 200],
      [`/${ABSENT}/requeue`, 8, '{}', 404],
    ];
    for (const [path, mebibytes, text, status] of routes) {
      const most = Buffer.from(filled(mebibytes * MEBIBYTE, text));
      expect([path, (await send(`/api/jobs${path}`, most)).status]).toEqual([path, status]);
      const more = Buffer.from(filled(mebibytes * MEBIBYTE + 1, text));
      expect(await send(`/api/jobs${path}`, more)).toMatchObject(refusal(413, 'BODY_TOO_LARGE'));
      const parts = [most.subarray(0, MEBIBYTE), most.subarray(MEBIBYTE), Buffer.from(' ')];
      expect(await send(`/api/jobs${path}`, parts)).toMatchObject(refusal(413, 'BODY_TOO_LARGE'));
    }
  });

  it('are read to the end before an error response, so that no sender is cut off', async () => {
    const large = Buffer.alloc(9 * MEBIBYTE, ' ');
    for (let round = 1; round <= 5; round += 1) {
      // The connection of this sender ends with the response.
      const answers = await Promise.all([
        send('/api/jobs/enqueue', large),
        send('/api/jobs/enqueue', large, { Authorization: 'Bearer wrong' }),
        send('/api/jobs/stats', large, {}, 'GET'),
      ]);
      expect(answers.map(({ status }) => status)).toEqual([413, 401, 200]);
    }
  });

  it('may arrive in chunks', async () => {
    const text = Buffer.from('{"topic":"ä","payload":"😀","delay":"1h"}');
    const parts = [...text].map((byte) => Buffer.from([byte]));
    expect(await send('/api/jobs/enqueue', parts)).toMatchObject({ status: 201, body: { topic: 'ä', payload: '😀' } });
  });

  it.each([
    '{"topic":"a","payload":',
    '{"topic":"a","payload":1}}',
    '{"topic":"a","payload":1} {}',
    "{'topic':'a','payload':1}",
    '{topic:"a",payload:1}',
    '{"topic":"a","payload":NaN}',
    '{"topic":"a","payload":undefined}',
    '{"topic":"a","payload":01}',
    '{"topic":"a","payload":1,}',
    '{"topic":"a","payload":1 /* one */}',
    '{"topic":"a","payload":"\t"}',
    'topic=a&payload=1',
    '<job/>',
    '{"a":'.repeat(100_000),
    Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]),
    Buffer.from('{"topic":"a\u00e4","payload":1}', 'latin1'),
    Buffer.from('{"topic":"a","payload":1}', 'utf16le'),
    Buffer.from([0xc0, 0xaf]),
    Buffer.alloc(100),
  ])('that are not JSON are rejected: %#', async (body) => {
    for (const path of ['/enqueue', '/enqueue-many', '/bulk', `/${ABSENT}/requeue`, `/${ABSENT}/cancel`]) {
      expect(await send(`/api/jobs${path}`, body)).toMatchObject(refusal(400, 'INVALID_JSON'));
    }
    expect(await send(`/api/jobs/${ABSENT}`, body, {}, 'DELETE')).toMatchObject(refusal(400, 'INVALID_JSON'));
  });

  it.each(['/nothing', '/stats', '/', '/enqueue/nothing', `/${ABSENT}/nothing`])(
    'of routes that do not exist belong to the application: POST %s',
    async (path) => {
      for (const body of ['{', '[1]', Buffer.alloc(300_000), gzipSync('{}')]) {
        const { status } = await send(`/api/jobs${path}`, body);
        expect([400, 404, 413]).toContain(status);
      }
    },
  );

  it('of GET requests are ignored', async () => {
    for (const path of ['', '/stats', '/topics', '/capabilities']) {
      for (const body of ['{', '{"a":1}', Buffer.alloc(300_000)]) {
        expect([path, (await send(`/api/jobs${path}`, body, {}, 'GET')).status]).toEqual([path, 200]);
      }
    }
    expect(await send(`/api/jobs/${ABSENT}`, '{', {}, 'GET')).toMatchObject(refusal(404, 'JOB_NOT_FOUND'));
  });

  it('of unauthorised callers are not read', async () => {
    for (const body of ['{', 'nonsense', Buffer.alloc(9 * MEBIBYTE), gzipSync('{}')]) {
      const headers = { Authorization: '', 'Content-Type': 'text/nonsense' };
      expect(await send('/api/jobs/enqueue', body, headers)).toMatchObject(refusal(401, 'UNAUTHORIZED'));
    }
  });

  it('must have the type JSON in UTF-8', async () => {
    const job = '{"topic":"a","payload":1,"delay":"1h"}';
    for (const type of [
      'application/json; charset=utf-8',
      'application/json;charset=UTF-8',
      'APPLICATION/JSON',
      'application/problem+json',
      'application/vnd.api+json; version=1',
    ]) {
      expect([type, (await send('/api/jobs/enqueue', job, { 'Content-Type': type })).status]).toEqual([type, 201]);
    }
    for (const type of [
      '',
      'text/plain',
      'text/json-like',
      'application/xml',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=a',
      'application/json; charset=utf-16',
      'application/json; charset=latin1',
      'application/jsonp',
      'nonsense',
      ';',
    ]) {
      expect([type, await send('/api/jobs/enqueue', job, { 'Content-Type': type })]).toMatchObject([
        type,
        refusal(415, 'UNSUPPORTED_MEDIA_TYPE'),
      ]);
    }
    for (const encoding of ['gzip', 'deflate', 'br', 'nonsense']) {
      expect(await send('/api/jobs/enqueue', gzipSync(job), { 'Content-Encoding': encoding })).toMatchObject(
        refusal(415, 'UNSUPPORTED_MEDIA_TYPE'),
      );
    }
  });

  it('may be empty if no field is required', async () => {
    for (const body of [undefined, '', []]) {
      for (const path of [`/${ABSENT}/requeue`, `/${ABSENT}/cancel`]) {
        expect(await send(`/api/jobs${path}`, body)).toMatchObject(refusal(404, 'JOB_NOT_FOUND'));
      }
      expect(await send(`/api/jobs/${ABSENT}`, body, {}, 'DELETE')).toMatchObject(refusal(404, 'JOB_NOT_FOUND'));
      for (const path of ['/enqueue', '/enqueue-many', '/bulk']) {
        expect(await send(`/api/jobs${path}`, body)).toMatchObject(refusal(400, 'INVALID_REQUEST', 'body'));
      }
    }
  });

  it('may hold any number that JavaScript can represent', async () => {
    const job = (payload: string) => `{"topic":"a","delay":"1h","payload":${payload}}`;
    for (const number of ['0', '-1.5e-7', '9007199254740991', '1.7976931348623157e308', '5e-324']) {
      const { status, body } = await send('/api/jobs/enqueue', job(`[${number}]`));
      expect({ number, status, payload: body!.payload }).toEqual({ number, status: 201, payload: [Number(number)] });
    }
    for (const number of ['1e400', '-1e999']) {
      expect(await send('/api/jobs/enqueue', job(`{"a":[${number}]}`))).toMatchObject(
        refusal(400, 'INVALID_PAYLOAD', 'payload'),
      );
    }
  });

  it('may hold any member names in a payload without prototype pollution', async () => {
    const payload = '{"__proto__":{"isAdmin":true},"constructor":{"prototype":{"isAdmin":true}},"toString":1,"":2}';
    const job = `{"topic":"a","delay":"1h","payload":${payload},"metadata":${payload}}`;
    const stored = await send('/api/jobs/enqueue', job);
    expect(stored.status).toBe(201);
    const read = await send(`/api/jobs/${String(stored.body!.id)}`, undefined, {}, 'GET');
    for (const { text } of [stored, read]) {
      expect(JSON.stringify(JSON.parse(text)).match(/"__proto__":\{"isAdmin":true\}/g)).toHaveLength(2);
    }
    expect(({} as { isAdmin?: boolean }).isAdmin).toBeUndefined();
    expect(Object.prototype.toString.call({})).toBe('[object Object]');
  });

  it('that end early do not affect the server', async () => {
    const { hostname, port } = new URL(app().url);
    for (const part of ['', '{"topic":"a",']) {
      const socket = connect(Number(port), hostname);
      await once(socket, 'connect');
      socket.write(
        `POST /api/jobs/enqueue HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${ADMIN_TOKEN}\r\n` +
          `Content-Type: application/json\r\nContent-Length: 100\r\n\r\n${part}`,
      );
      // A response shows that the earlier bytes on this server were read.
      expect((await send('/api/jobs/stats', undefined, {}, 'GET')).status).toBe(200);
      socket.destroy();
      await once(socket, 'close');
    }
    expect((await send('/api/jobs/stats', undefined, {}, 'GET')).status).toBe(200);
  });
});

describe.each(places)('other routes of an application on $adapter', ({ kind, adapterKind }) => {
  const apps = useHttpApps(kind, adapterKind);

  const contents: [string, Content, Record<string, string>][] = [
    ['a small body', '{"item":"tea"}', {}],
    ['almost 100 kB', JSON.stringify('x'.repeat(102_000)).replace(/^/, '[').replace(/$/, ']'), {}],
    ['over 100 kB', `["${'x'.repeat(102_400)}"]`, {}],
    ['over 1 MiB', `["${'x'.repeat(MEBIBYTE)}"]`, {}],
    ['no JSON', '{"item":', {}],
    ['an empty body of type JSON', '', {}],
    ['text', 'tea', { 'Content-Type': 'text/plain' }],
    ['a form', 'item=tea&amount[a]=7', { 'Content-Type': 'application/x-www-form-urlencoded' }],
    ['an unknown type', 'tea', { 'Content-Type': 'application/tea' }],
    ['gzip', gzipSync('{"item":"tea"}'), { 'Content-Encoding': 'gzip' }],
    ['a key of the prototype', '{"__proto__":{"a":1}}', {}],
  ];
  const paths = ['/orders', '/api', '/api/jobsx', '/api/jobs-x/enqueue', '/api/x/jobs', '/'];

  async function answers(http: object | false): Promise<unknown[]> {
    const app = await apps.listen({
      options: { role: 'producer', http: http as never },
      controllers: [OrdersController],
      before: (nest: INestApplication) => nest.enableCors(),
    });
    const send = sender(() => app.url);
    const all: unknown[] = [];
    for (const path of paths) {
      for (const [what, body, headers] of contents) {
        all.push({ what, path, ...facts(await send(path, body, headers)) });
      }
      for (const method of ['GET', 'OPTIONS', 'DELETE']) {
        all.push({ method, path, ...facts(await send(path, undefined, {}, method)) });
      }
    }
    await app.close();
    return all;
  }

  /** Removes the headers that differ between responses. */
  function facts({ status, headers, text }: RawResponse): object {
    const { date: _, etag: __, ...others } = headers;
    return { status, headers: others, text: text.replaceAll(/:\d{4,5}\b/g, ':port') };
  }

  it('respond as without the queue', async () => {
    const withQueue = await answers({ adminToken: ADMIN_TOKEN });
    expect(withQueue).toEqual(await answers(false));
    expect(withQueue).toContainEqual(expect.objectContaining({ path: '/orders', what: 'a small body', status: 201 }));
    expect(withQueue).toContainEqual(expect.objectContaining({ path: '/orders', what: 'over 1 MiB', status: 413 }));
  });
});
