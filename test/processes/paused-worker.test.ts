import { useBuiltPackage } from './support/built-package.js';
import { killPrograms, Program } from './support/program.js';
import type { QueueDatabase } from './support/queue-database.js';
import { newestDatabases } from './support/queue-database.js';

const options = { lease: '1s', pollInterval: '200ms' };

useBuiltPackage();

describe.each(newestDatabases)('a worker on $name that is stopped past its lease and continued', ({ create }) => {
  let database: QueueDatabase;
  let paused: Program;
  let other: Program;

  beforeEach(async () => {
    database = await create();
    paused = await Program.start('worker', { database: database.address, options });
  });

  afterEach(async () => {
    await killPrograms();
    await database.close();
  });

  /** Stops the first worker within its handler, while another one is there to take the job. */
  async function pause(id: string): Promise<void> {
    await paused.report('began', (report) => report.id === id);
    other = await Program.start('worker', { database: database.address, options });
    paused.send('pause');
  }

  /** Lets the first worker go on and end its handler, which it does without a look at its signal. */
  async function goOn(id: string): Promise<void> {
    paused.send('open');
    paused.signal('SIGCONT');
    await paused.report('event', ({ event }) => event.type === 'lease_lost' && event.id === id);
  }

  /** It ran to its end and offered `completed`, which was refused, once. */
  function expectRefused(id: string): void {
    expect(paused.all('returned').map((report) => [report.id, report.attempt])).toEqual([[id, 1]]);
    expect(paused.events('lease_lost')).toMatchObject([{ id, attempt: 1 }]);
    expect(paused.all('aborted')).toMatchObject([{ id, attempt: 1, reason: 'LEASE_LOST' }]);
  }

  it('has its completion refused after the other has completed the job, and the other result stands', async () => {
    const { id } = await database.enqueue('plain', { gated: 1 });
    await pause(id);
    const finished = await database.completed(id);
    await goOn(id);

    expectRefused(id);
    expect(finished).toMatchObject({ attempt: 2, retries: 1, result: { worker: `${other.pid}/1` } });
    expect(await database.job(id)).toEqual(finished);
    // What a handler does outside the queue's transaction is done twice: at least once is the promise.
    expect(await database.effects(id)).toMatchObject([
      { attempt: 2, worker: `${other.pid}/1` },
      { attempt: 1, worker: `${paused.pid}/1` },
    ]);
  });

  it('has its completion refused while the other still runs the job, and the other result stands', async () => {
    const { id } = await database.enqueue('plain', { gated: 2 });
    await pause(id);
    await other.report('began', ({ attempt }) => attempt === 2);
    await goOn(id);

    expectRefused(id);
    expect(await database.job(id)).toMatchObject({ status: 'processing', attempt: 2, result: null });
    other.send('open');
    expect(await database.completed(id)).toMatchObject({
      attempt: 2,
      retries: 1,
      result: { worker: `${other.pid}/1` },
    });
    expect(other.events('lease_lost')).toEqual([]);
  });

  it('has its completeTx refused while the other still runs the job, and its effect is rolled back', async () => {
    const { id } = await database.enqueue('complete_tx', { gated: 2 });
    await pause(id);
    await other.report('began', ({ attempt }) => attempt === 2);
    await goOn(id);

    expect(paused.all('refused')).toEqual([{ kind: 'refused', id, attempt: 1, code: 'LEASE_LOST' }]);
    expect(await database.statusAndEffects(id)).toEqual({ status: 'processing', effects: 0 });
    other.send('open');
    expect(await database.completed(id)).toMatchObject({ attempt: 2, retries: 1 });
    expect(await database.effects(id)).toMatchObject([{ attempt: 2, worker: `${other.pid}/1` }]);
  });
});
