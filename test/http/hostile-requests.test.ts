/**
 * @npm-test fastify
 * @matrix nest-11
 */

import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { sqliteMemory } from '../nest/support/database-kinds.js';
import { isOnNest11 } from '../support/nest-version.js';
import { everyAdapter } from './support/adapters.js';
import { SECRET, SECRET_TOPIC } from './support/every-route.js';
import { ADMIN_TOKEN, useOneHttpApp } from './support/http-apps.js';

const ADMIN = `Authorization: Bearer ${ADMIN_TOKEN}\r\n`;
const WRONG = 'Authorization: Bearer wrong\r\n';
const JSON_TYPE = 'Content-Type: application/json\r\n';
const JOB = '{"topic":"a","payload":1,"delay":"1h"}';
const DEEP = '['.repeat(100_000) + ']'.repeat(100_000);

const head = (line: string, headers = '') => `${line} HTTP/1.1\r\nHost: a\r\n${headers}`;
const get = (path: string, headers = '', method = 'GET') =>
  head(`${method} ${path}`, `${headers}Connection: close\r\n\r\n`);
const post = (path: string, body: string, headers = JSON_TYPE) =>
  head(`POST ${path}`, `${headers}Connection: close\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
const unframed = (headers: string, body: string) =>
  head('POST /api/jobs/enqueue', `${JSON_TYPE}${headers}Connection: close\r\n\r\n${body}`);
const bomb = gzipSync(Buffer.alloc(20 * 1024 * 1024)).toString('latin1');

/** What is sent as it is, and the statuses of the answers, in their order; of either adapter, or of both. */
const requests: [what: string, text: string, statuses: string | { Express: string; Fastify: string }][] = [
  ['the whole URL, by an administrator', get('http://elsewhere/api/jobs/stats', ADMIN), '200'],
  ['the whole URL, by a stranger', get('http://elsewhere/api/jobs/stats'), '401'],
  ['the whole URL with a payload', post('http://elsewhere/api/jobs/enqueue', JOB), '201'],
  ['a right token and a wrong one', get('/api/jobs/stats', ADMIN + WRONG), '200'],
  ['a wrong token and a right one', get('/api/jobs/stats', WRONG + ADMIN), '401'],
  ['the token in the query of the stream', get(`/api/jobs/stream?token=${ADMIN_TOKEN}`), '401'],
  ['no host', `GET /api/jobs/stats HTTP/1.1\r\n${ADMIN}Connection: close\r\n\r\n`, '400'],
  ['two lengths', unframed('Content-Length: 5\r\nContent-Length: 38\r\n', JOB), '400'],
  [
    'a length and chunks',
    unframed('Content-Length: 5\r\nTransfer-Encoding: chunked\r\n', `0\r\n\r\n${get('/x')}`),
    '400',
  ],
  ['chunks that are none', unframed('Transfer-Encoding: chunked\r\n', 'zz\r\n'), '400'],
  ['a negative length', unframed('Content-Length: -1\r\n', JOB), '400'],
  [
    'a request in a body that the server does not read',
    head('POST /api/jobs/no', `Content-Length: 4\r\n\r\n{"a"${get('/api/jobs/stats')}`),
    '404,401',
  ],
  ['leave to go on', unframed(`Expect: 100-continue\r\nContent-Length: ${JOB.length}\r\n`, JOB), '100,201'],
  [
    'an expectation that the server does not support',
    unframed(`Expect: tea\r\nContent-Length: ${JOB.length}\r\n`, JOB),
    '417',
  ],
  ['headers that are too large', get('/api/jobs/stats', `${ADMIN}X: ${'x'.repeat(20_000)}\r\n`), '431'],
  ['another protocol', get('/api/jobs/stats', 'Upgrade: websocket\r\nConnection: Upgrade\r\n'), '401'],
  ['TRACE', get('/api/jobs/stats', ADMIN, 'TRACE'), '404'],
  ['PROPFIND', get('/api/jobs', ADMIN, 'PROPFIND'), '404'],
  ['a part of the answer', get('/api/jobs/stats', `${ADMIN}Range: bytes=0-1\r\n`), '200'],
  ['a percent sign alone', get('/api/jobs/%zz', ADMIN), '400'],
  ['a long id', get(`/api/jobs/${'a'.repeat(300)}`, ADMIN), { Express: '404', Fastify: '414' }],
  ['thousands of slashes', get(`/api/jobs${'/'.repeat(8_000)}`, ADMIN), '404'],
  ['parameters of the path', get('/api/jobs/stats;a=b', ADMIN), '404'],
  ['a list by brackets', get('/api/jobs?limit[]=1&limit[a]=1', ADMIN), '400'],
  ['the prototype in the query', get('/api/jobs?__proto__[x]=1&constructor=1', ADMIN), '400'],
  ['two types, text first', post('/api/jobs/enqueue', JOB, `Content-Type: text/plain\r\n${JSON_TYPE}`), '415'],
  [
    'a type that only mentions JSON',
    post('/api/jobs/enqueue', JOB, 'Content-Type: text/plain; application/json\r\n'),
    '415',
  ],
  ['a form', post('/api/jobs/enqueue', JOB, 'Content-Type: application/x-www-form-urlencoded\r\n'), '415'],
  [
    'text with a cookie from elsewhere',
    post('/api/jobs/enqueue', JOB, 'Content-Type: text/plain\r\nCookie: a=1\r\nOrigin: http://b\r\n'),
    '403',
  ],
  ['a bomb', unframed(`Content-Encoding: gzip\r\nContent-Length: ${bomb.length}\r\n`, bomb), '415'],
  ['a deep topic', post('/api/jobs/enqueue', `{"topic":${DEEP},"payload":1}`), '400'],
  [
    'a deep payload',
    post('/api/jobs/enqueue', `{"topic":"a","payload":${DEEP}}`, `${JSON_TYPE}Idempotency-Key: a\r\n`),
    '400',
  ],
  ['deep metadata', post('/api/jobs/enqueue', `{"topic":"a","payload":1,"metadata":{"a":${DEEP}}}`), '400'],
  ['a deep filter', post('/api/jobs/bulk', `{"action":"delete","filter":{"q":${DEEP}}}`, JSON_TYPE + ADMIN), '400'],
  ['nothing but depth', post('/api/jobs/enqueue', DEEP), '400'],
];

/** Sends it on a connection of its own, and gives all that comes back until that ends. */
function exchanged(url: string, text: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname);
    let received = '';
    socket.setEncoding('latin1');
    socket.on('data', (part: string) => (received += part));
    // A server that refuses what is still being written may reset the connection behind its answer.
    socket.on('error', () => undefined);
    socket.once('close', () => resolve(received));
    socket.write(text, 'latin1');
  });
}

// Under Nest 11 the router of Fastify finds no route for a scheme in capitals.
if (!isOnNest11) requests.push(['the whole URL in capitals', get('HTTP://elsewhere/api/jobs/stats'), '401']);

describe.each(everyAdapter)('a malformed request on $adapter', (adapterKind) => {
  const app = useOneHttpApp(sqliteMemory, adapterKind, {
    options: { role: 'producer', http: { adminToken: ADMIN_TOKEN, enqueueRule: 'public' } },
    handlers: { a: () => undefined },
  });
  beforeAll(() => app().jobs.enqueue(SECRET_TOPIC, { [SECRET]: true }, { delay: '1h' }));

  it.each(requests)('gets a response, reveals nothing and breaks nothing: %s', async (_, text, statuses) => {
    const received = await exchanged(app().url, text);
    const answers = Array.from(received.matchAll(/HTTP\/1\.1 (\d{3}) /g), ([, status]) => status);
    expect(answers.join()).toBe(typeof statuses === 'string' ? statuses : statuses[adapterKind.adapter]);
    expect(received).not.toContain(SECRET);
    expect(received).not.toMatch(/elsewhere|node_modules|at \w+ \(/);
    expect((await app().api.get('/capabilities')).status).toBe(200);
  });
});
