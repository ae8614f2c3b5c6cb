/** @matrix nest-11 */

import { postgres, sqliteMemory } from '../nest/support/database-kinds.js';
import { until } from '../support/wait.js';
import { everyAdapter } from './support/adapters.js';
import { useHttpApps, useOneHttpApp } from './support/http-apps.js';

const MEBIBYTE = 1024 * 1024;

/** Far more than the validation takes, and far less than a backtracking expression would. */
const PROMPT_MS = 5_000;

describe.each(everyAdapter)('oversized input on $adapter', (adapterKind) => {
  const app = useOneHttpApp(sqliteMemory, adapterKind, { options: { role: 'producer' } });
  const enqueue = (text: string) => app().api.send<{ data: object }>('POST', '/enqueue', { text });

  it('is cut in the response, which lists few errors', async () => {
    const name = 'n'.repeat(MEBIBYTE);
    const names = Array.from({ length: 10_000 }, (_, index) => `"name ${index}":1`).join(',');
    for (const text of [
      `{"topic":"a","payload":1,"${name}":1}`,
      `{"topic":"a","payload":1,${names}}`,
      `{"topic":"a","payload":1,"run_at":"${name}"}`,
      `{"topic":"${name}","payload":1}`,
      `{"topic":"a","payload":1,"metadata":"${name}"}`,
    ]) {
      const answer = await enqueue(text);
      expect(answer.status).toBe(400);
      expect(answer.text.length).toBeLessThan(10_000);
    }
    const answer = await app().api.get(`?${'n'.repeat(5_000)}=1&${'n'.repeat(5_000)}=2`);
    expect([answer.status, answer.text.length < 2_000]).toEqual([400, true]);
  });

  it('is rejected if it is nested too deeply', async () => {
    const deep = `${'['.repeat(500_000)}${']'.repeat(500_000)}`;
    const deepObject = `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`;
    for (const value of [deep, deepObject]) {
      expect((await enqueue(`{"topic":"a","payload":${value}}`)).text).toContain('deeper than 64 levels');
      for (const [path, text] of [
        ['/enqueue', `{"topic":"a","payload":${value}}`],
        ['/enqueue', `{"topic":"a","payload":1,"metadata":{"a":${value}}}`],
        ['/enqueue', `{"topic":${value},"payload":1}`],
        ['/enqueue-many', `{"jobs":${value}}`],
        ['/bulk', `{"action":"delete","ids":${value}}`],
        ['/bulk', `{"action":"delete","filter":${value}}`],
        ['/enqueue', value],
      ] as const) {
        const headers = { 'Idempotency-Key': 'deep' };
        const answer = await app().api.send('POST', path, { text, headers });
        expect([path, text.slice(0, 40), answer.status]).toEqual([path, text.slice(0, 40), 400]);
      }
    }
  });

  it('is validated without backtracking', async () => {
    const [ones, spaces, dashes] = ['1', ' ', '-'].map((letter) => letter.repeat(MEBIBYTE));
    const headers: readonly (readonly [string, string])[] = [
      ['Authorization', `Bearer ${' '.repeat(7_000)}a${' '.repeat(7_000)}b`],
      ['Content-Type', `application/${'a+'.repeat(7_000)}`],
      ['Content-Type', `application/json${';'.repeat(7_000)}${' '.repeat(5_000)}charset`],
      ['Origin', `http://${'a.'.repeat(7_000)}`],
      ['Idempotency-Key', ones!.slice(0, 14_000)],
    ];
    // CPU time: backtracking would take minutes of it on any machine.
    const since = process.cpuUsage();
    for (const value of [ones, spaces, dashes, `${ones}d`, `${ones}.${ones}ms`, `2030-01-01T00:00:00.${ones}Z`]) {
      for (const field of ['run_at', 'delay', 'timeout', 'topic', 'unique_key', 'priority', 'max_retries']) {
        expect((await enqueue(JSON.stringify({ topic: 'a', payload: 1, [field]: value }))).status).toBe(400);
      }
      expect((await app().api.post('/bulk', { action: 'delete', ids: [value] })).status).toBe(400);
    }
    for (const [name, value] of headers) {
      const answer = await app().api.send('POST', '/enqueue', { text: '{', headers: { Cookie: 'a', [name]: value } });
      expect([400, 401, 403, 415]).toContain(answer.status);
    }
    const slashes = await fetch(`${app().url}/api/jobs${'/'.repeat(6_000)}a${'/%2F'.repeat(2_000)}`);
    expect([401, 404]).toContain(slashes.status);
    expect(process.cpuUsage(since).user / 1_000).toBeLessThan(PROMPT_MS);
  });
});

describe.each(everyAdapter)('a request with a slow statement on $adapter', (adapterKind) => {
  const apps = useHttpApps(postgres, adapterKind);

  it('leaves connections to the workers, however many there are', async () => {
    const app = await apps.listen({ handlers: { work: () => 'done' } });
    const rows = Array.from({ length: 8 }, () => ({ topic: 'unhandled', payload: null }));
    const held = await app.jobs.enqueueMany(rows);
    const transaction = app.dataSource.createQueryRunner();
    await transaction.startTransaction();
    await transaction.query('UPDATE _jobs SET updated = updated');
    let answered = 0;
    const asked = held.map(({ id }) => app.api.post(`/${id}/cancel`).finally(() => (answered += 1)));
    const waits = `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`;
    await until(async () => (await app.dataSource.query<object[]>(waits)).length > 0);
    const { id } = await app.jobs.enqueue('work', null);
    await app.event('completed', id);
    expect(answered).toBe(0);
    await transaction.rollbackTransaction();
    await transaction.release();
    await Promise.all(asked);
  });

  it('responds with 503 at its timeout and releases its resources', async () => {
    const { api, jobs, dataSource } = await apps.listen({ options: { role: 'producer', lease: '2s' } });
    const { id } = await jobs.enqueue('a', 1, { delay: '1h' });
    await dataSource.query(
      `CREATE FUNCTION sleep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(3600); RETURN NULL; END $$`,
    );
    await dataSource.query('CREATE TRIGGER sleep BEFORE UPDATE ON _jobs EXECUTE FUNCTION sleep()');
    expect(await api.post(`/${id}/cancel`)).toMatchObject({ status: 503, body: { code: 'QUEUE_UNAVAILABLE' } });
    const asleep = `SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()`;
    expect(await dataSource.query(asleep)).toEqual([]);
    expect((await api.get(`/${id}`)).status).toBe(200);
  });
});
