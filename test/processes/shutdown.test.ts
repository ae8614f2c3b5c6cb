/**
 * @matrix sqlite, typeorm-0.3
 * @slow
 */

import type { Duration } from 'nestjs-jobs';
import { until } from '../support/wait.js';
import { useBuiltPackage } from './support/built-package.js';
import type { Exit } from './support/program.js';
import { killPrograms, Program } from './support/program.js';
import type { QueueDatabase } from './support/queue-database.js';
import { everyDatabase, newestDatabases } from './support/queue-database.js';

const LATER_JOBS = 20;
/** A lease that a busy machine can renew in time. */
const options = { lease: '3s', pollInterval: '100ms', concurrency: 5 } as const;

/** Exits after its last line, or by the signal that Nest sends again after closing. */
function endedRegularly({ code, signal }: Exit): boolean {
  return code === 0 || signal === 'SIGTERM';
}

useBuiltPackage();

describe.each(newestDatabases)('a Nest worker on $name that receives SIGTERM', ({ create }) => {
  let database: QueueDatabase;
  let worker: Program;
  let other: Program;
  let gatedId: string;

  beforeEach(async () => {
    database = await create();
  });

  afterEach(async () => {
    await killPrograms();
    await database.close();
  });

  /** Starts a worker with a running job and a second worker, and sends SIGTERM to the first. */
  async function terminate(shutdownTimeout: Duration, endsOnAbort: boolean): Promise<void> {
    worker = await Program.start('nest-worker', {
      database: database.address,
      options: { ...options, shutdownTimeout },
    });
    gatedId = (await database.enqueue('plain', { gated: 1, endsOnAbort })).id;
    await worker.report('began');
    other = await Program.start('worker', { database: database.address, options });
    worker.signal('SIGTERM');
    await worker.report('draining');
  }

  it('claims no more jobs, renews the leases of running ones, completes them and exits', async () => {
    await terminate('20s', false);
    const leaseEnd = async (): Promise<number> => (await database.job(gatedId)).lockedUntil?.getTime() ?? 0;
    const firstEnd = await leaseEnd();

    const later = await Promise.all(Array.from({ length: LATER_JOBS }, () => database.enqueue('plain')));
    await Promise.all(later.map(({ id }) => database.completed(id)));
    const effects = await database.effects();
    expect(effects).toHaveLength(LATER_JOBS);
    expect(new Set(effects.map(({ worker: name }) => name))).toEqual(new Set([`${other.pid}/1`]));

    await until(async () => (await leaseEnd()) > firstEnd, { message: 'a renewal while it drains' });
    worker.send('open');
    expect(endedRegularly(await worker.exited)).toBe(true);
    expect(await database.job(gatedId)).toMatchObject({
      status: 'completed',
      attempt: 1,
      retries: 0,
      result: { worker: `${worker.pid}/nest` },
    });
    expect(worker.printed).toBe('');
  });

  it.each([
    { endsOnAbort: true, what: 'ends on abort' },
    { endsOnAbort: false, what: 'ignores its signal' },
  ])('aborts and releases a handler that $what after shutdownTimeout', async ({ endsOnAbort }) => {
    await terminate('300ms', endsOnAbort);
    const drainingMs = performance.now();
    expect(endedRegularly(await worker.exited)).toBe(true);
    expect(performance.now() - drainingMs).toBeLessThan(10_000);
    expect(worker.all('aborted')).toMatchObject([{ id: gatedId, reason: 'shutdown' }]);
    expect(worker.events('released')).toMatchObject([{ id: gatedId, attempt: 1 }]);

    expect(await database.completed(gatedId)).toMatchObject({
      attempt: 2,
      retries: 0,
      lastError: null,
      result: { worker: `${other.pid}/1` },
    });
    expect(await database.effects(gatedId)).toHaveLength(1);
  });
});

describe.each(everyDatabase)('a program on $name that closes its application', ({ create }) => {
  let database: QueueDatabase;

  beforeEach(async () => {
    database = await create();
  });

  afterEach(async () => {
    await killPrograms();
    await database.close();
  });

  it.each([
    { http: true, made: 'create' },
    { http: false, made: 'createApplicationContext' },
  ])('created by $made, has no open handle and exits', async ({ http }) => {
    const program = await Program.start('open-and-close', { database: database.address, http });
    await program.report('closed');
    const closedMs = performance.now();
    expect(await program.exited).toEqual({ code: 0, signal: null });
    expect(performance.now() - closedMs).toBeLessThan(8_000);
    expect(program.printed).toBe('');
  });
});
