import { until } from '../support/wait.js';
import { useBuiltPackage } from './support/built-package.js';
import type { Exit } from './support/program.js';
import { killPrograms, Program } from './support/program.js';
import type { QueueDatabase } from './support/queue-database.js';
import { everyDatabase, newestDatabases } from './support/queue-database.js';

const LATER_JOBS = 20;
/** A lease that a busy machine renews in time: a worker that comes near its end says so. */
const options = { lease: '3s', pollInterval: '100ms', concurrency: 5 };

/** By itself: through its last line, or by the signal that Nest sends on when everything is closed. */
function endedByItself({ code, signal }: Exit): boolean {
  return code === 0 || signal === 'SIGTERM';
}

useBuiltPackage();

describe.each(newestDatabases)('a Nest worker on $name that gets SIGTERM', ({ create }) => {
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

  /** The worker holds a job, another one waits for work, and the worker is told to end. */
  async function terminate(shutdownTimeout: string, obeys: boolean): Promise<void> {
    worker = await Program.start('nest-worker', {
      database: database.address,
      options: { ...options, shutdownTimeout },
    });
    gatedId = (await database.enqueue('plain', { gated: 1, obeys })).id;
    await worker.report('began');
    other = await Program.start('worker', { database: database.address, options });
    worker.signal('SIGTERM');
    await worker.report('draining');
  }

  it('claims no more, renews and finishes what runs, and ends', async () => {
    await terminate('20s', false);
    const leaseEnd = async (): Promise<number> => (await database.job(gatedId)).lockedUntil?.getTime() ?? 0;
    const firstEnd = await leaseEnd();

    const later = await Promise.all(Array.from({ length: LATER_JOBS }, () => database.enqueue('plain')));
    await Promise.all(later.map(({ id }) => database.completed(id)));
    const effects = await database.effects();
    expect(effects).toHaveLength(LATER_JOBS);
    expect(new Set(effects.map(({ worker: who }) => who))).toEqual(new Set([`${other.pid}/1`]));

    await until(async () => (await leaseEnd()) > firstEnd, { message: 'a renewal while it drains' });
    worker.send('open');
    expect(endedByItself(await worker.exited)).toBe(true);
    expect(await database.job(gatedId)).toMatchObject({
      status: 'completed',
      attempt: 1,
      retries: 0,
      result: { worker: `${worker.pid}/nest` },
    });
    expect(worker.printed).toBe('');
  });

  it.each([
    { obeys: true, what: 'obeys its signal' },
    { obeys: false, what: 'ignores its signal' },
  ])('aborts and releases, after shutdownTimeout, a handler that $what', async ({ obeys }) => {
    await terminate('300ms', obeys);
    const drainingMs = performance.now();
    expect(endedByItself(await worker.exited)).toBe(true);
    expect(performance.now() - drainingMs).toBeLessThan(3_000);
    expect(worker.all('aborted')).toMatchObject([{ id: gatedId, reason: 'shutdown' }]);
    expect(worker.events('snoozed')).toMatchObject([{ id: gatedId, attempt: 1, reason: 'release' }]);

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
  ])('made with $made, has no open handle and ends by itself', async ({ http }) => {
    const program = await Program.start('open-and-close', { database: database.address, http });
    await program.report('closed');
    const closedMs = performance.now();
    expect(await program.exited).toEqual({ code: 0, signal: null });
    expect(performance.now() - closedMs).toBeLessThan(1_000);
    expect(program.printed).toBe('');
  });
});
