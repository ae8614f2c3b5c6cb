/** @npm-test fastify */

import { once } from 'node:events';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import type { Job } from 'nestjs-jobs';
import { JobsClient } from '../../client/index.js';
import type { Job as WireJob, JobPage } from '../../client/wire.js';
import { JobsEngine } from '../../lib/engine/jobs-engine.js';
import { sqliteFile } from '../nest/support/database-kinds.js';
import { until } from '../support/wait.js';
import { everyAdapter } from './support/adapters.js';
import type { HttpApp } from './support/http-apps.js';
import { ADMIN_TOKEN, useHttpApps } from './support/http-apps.js';

const later = { delay: '1h' } as const;
/** 40 MB: more than the buffers of a connection hold. */
const LARGE_JOBS = 400;
const LARGE_TEXT = 'x'.repeat(100_000);

describe.each(everyAdapter)('an export on $adapter', (adapterKind) => {
  const apps = useHttpApps(sqliteFile, adapterKind);

  /** Opens an export that the client does not read, and waits until the server cannot write any more. */
  async function openStalled(app: HttpApp): Promise<{ received: IncomingMessage; response: ServerResponse }> {
    const server = app.app.getHttpServer() as Server;
    const seen = once(server, 'request') as Promise<[IncomingMessage, ServerResponse]>;
    const headers = { Authorization: `Bearer ${ADMIN_TOKEN}` };
    const sent = request(`${app.url}/api/jobs/export?format=ndjson`, { headers, agent: false }).end();
    const [received] = (await once(sent, 'response')) as [IncomingMessage];
    const [, response] = await seen;
    await until(() => response.writableNeedDrain);
    return { received, response };
  }

  it('has the jobs of the list in each format', async () => {
    const { api, jobs } = await apps.listen();
    const metadata = { tenant: 'a' };
    for (const payload of [{ to: 'Ann "A"' }, ['a,b', null], 'größe\n2', -5, null]) {
      await jobs.enqueue('mail', payload, { ...later, metadata, priority: -3 });
    }
    await jobs.enqueue('sms', 1, later);
    const { items } = (await api.get<JobPage>('?topic=mail')).body;

    const json = await api.get<WireJob[]>('/export?format=json&topic=mail');
    expect(json).toMatchObject({ status: 200, body: items });
    expect(json.headers.get('content-disposition')).toBe('attachment; filename="jobs.json"');
    expect(json.headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(json.headers.get('cache-control')).toBe('no-store');
    expect(json.headers.get('export-truncated')).toBe('false');
    const ndjson = await api.get('/export?format=ndjson&topic=mail');
    expect(
      ndjson.text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown),
    ).toEqual(json.body);
    const csv = await api.get('/export?format=csv&topic=mail&q=ann');
    const { id, created, run_at: runAt } = items[4]!;
    expect(csv.text.split('\r\n')).toEqual([
      'id,topic,status,priority,attempt,retries,max_retries,created,run_at,started,finished,unique_key,concurrency_key,labels,last_error,payload,metadata',
      `${id},mail,pending,-3,0,0,3,${created},${runAt},,,,,,,"{""to"":""Ann \\""A\\""""}","{""tenant"":""a""}"`,
      '',
    ]);
    expect(await api.get('/export?format=json&topic=none')).toMatchObject({ status: 200, text: '[\n]\n' });
    expect((await api.send('HEAD', '/export?format=csv')).status).toBe(200);
  });

  it('has no formulas in CSV', async () => {
    const { api, jobs } = await apps.listen();
    for (const key of ['=1+1', '+1', '-1', '@SUM(A1)', '\t=1', '\r=1', '＝1', 'a=1']) {
      await jobs.enqueue(key, -1, { ...later, uniqueKey: key });
    }
    const { text: csv } = await api.get('/export?format=csv&order=created');
    const rows = csv.replaceAll('"', '').split('\r\n').slice(1, -1);
    expect(rows.map((row) => /^[^,]+,(.*?),pending/s.exec(row)![1])).toEqual([
      'a=1',
      "'＝1",
      "'\r'=1",
      "'\t'=1",
      "'@SUM(A1)",
      "'-1",
      "'+1",
      "'=1+1",
    ]);
    expect(rows.every((row) => row.endsWith(",'-1,"))).toBe(true);
  });

  it('has no formulas in CSV where a spreadsheet splits a row at ; or tab, or starts another one', async () => {
    const { api, jobs } = await apps.listen();
    const keys: [key: string, cell: string][] = [
      ['x;=1+1;y', "x;'=1+1;y"],
      ['x;  =1', "x;  '=1"],
      ['x;"=1', 'x;""\'=1'],
      ['x;\u00a0@a', "x;\u00a0'@a"],
      ['a\t-1', "a\t'-1"],
      ['a\n+1', "a\n'+1"],
      ['a\r＝1', "a\r'＝1"],
      ['; ; ;=1', "; ; ;'=1"],
      ['=1;=1', "'=1;'=1"],
      ['a;b=1', 'a;b=1'],
      [`${'\t'.repeat(200)}a`, `'${'\t'.repeat(200)}a`],
    ];
    for (const [uniqueKey] of keys) {
      await jobs.enqueue('mail', { text: 'x;=1' }, { ...later, uniqueKey });
    }
    const { text: csv } = await api.get('/export?format=csv&order=created');
    for (const [, cell] of keys) {
      expect(csv).toMatch(new RegExp(`,"?${cell.replace(/[+?]/g, '\\$&')}"?,`));
    }
    expect(csv.split(`"{""text"":""x;'=1""}"`)).toHaveLength(keys.length + 1);
  });

  it('waits for a slow reader, and ends with its reader and with the application', async () => {
    let shown = 0;
    const redact = (job: Job): Job => {
      shown += 1;
      return job;
    };
    const app = await apps.listen({ options: { http: { adminToken: ADMIN_TOKEN, redact } } });
    await app.jobs.enqueueMany(
      Array.from({ length: LARGE_JOBS }, () => ({ topic: 'large', payload: LARGE_TEXT, ...later })),
    );
    const find = jest.spyOn(app.app.get(JobsEngine).jobs, 'find');
    const slow = await openStalled(app);
    expect(shown).toBeLessThan(LARGE_JOBS);
    expect((await text(slow.received)).trimEnd().split('\n')).toHaveLength(LARGE_JOBS);
    expect([shown, slow.response.writableFinished]).toEqual([LARGE_JOBS, true]);
    // 2 MiB at a time.
    expect(Math.max(...find.mock.calls.map(([ids]) => ids.length))).toBe(20);

    const left = await openStalled(app);
    left.received.destroy();
    await until(() => left.response.closed);
    expect((await app.api.get('/stats')).status).toBe(200);

    const stalled = await openStalled(app);
    stalled.received.on('error', () => undefined);
    await app.app.close();
    await until(() => stalled.response.closed);
  });

  it('says that more jobs may match when a search did not cover all', async () => {
    const redact = (job: Job): Job => job;
    const { api, jobs } = await apps.listen({ options: { http: { adminToken: ADMIN_TOKEN, redact } } });
    await jobs.enqueue('mail', { orderId: 7 }, later);
    const { headers, body } = await api.get('/export?format=json&q=orderId:7');
    expect([headers.get('export-truncated'), body]).toEqual(['true', []]);
  });

  it('breaks off when a job cannot be read', async () => {
    let shown = 0;
    const redact = (job: Job): Job => {
      shown += 1;
      if (shown > 150 || job.topic === 'broken') {
        throw new Error('cannot redact');
      }
      return job;
    };
    const app = await apps.listen({ options: { http: { adminToken: ADMIN_TOKEN, redact } } });
    await app.jobs.enqueueMany(Array.from({ length: 160 }, () => ({ topic: 'mail', payload: 1, ...later })));
    const client = new JobsClient({ baseUrl: app.url, token: ADMIN_TOKEN });
    const read = new Response(await client.export('ndjson')).text();
    await expect(read.then((file) => file.length)).rejects.toThrow();
    await app.jobs.enqueue('broken', 1, later);
    expect(await app.api.get('/export?format=csv&topic=broken')).toMatchObject({
      status: 500,
      body: { code: 'INTERNAL' },
    });
  });

  it('says when more jobs match, and is there in the client', async () => {
    const app = await apps.listen();
    const stored = await app.jobs.enqueueMany([1, 2, 3].map((payload) => ({ topic: 'mail', payload, ...later })));
    const { jobs } = app.app.get(JobsEngine);
    const select = jobs.select.bind(jobs);
    jest.spyOn(jobs, 'select').mockImplementation((filter) => select(filter, 2));
    const { headers, body } = await app.api.get<WireJob[]>('/export?format=json');
    expect([headers.get('export-truncated'), body.length]).toEqual(['true', 2]);
    const client = new JobsClient({ baseUrl: app.url, token: ADMIN_TOKEN });
    const csv = await new Response(await client.export('csv', { topic: 'mail', createdFrom: new Date(0) })).text();
    expect(csv).toContain(stored[2]!.id);
    await expect(client.export('csv', { topic: '' })).rejects.toMatchObject({ status: 400 });
  });
});
