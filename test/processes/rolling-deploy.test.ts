/** @matrix sqlite */

import { useBuiltPackage } from './support/built-package.js';
import { killPrograms, Program } from './support/program.js';
import type { QueueDatabase } from './support/queue-database.js';
import { newestDatabases } from './support/queue-database.js';

const options = { lease: '5s', pollInterval: '100ms', concurrency: 5 } as const;
const JOBS_OF_EACH = 30;

/** The new version adds one handler and drops another. */
const VERSIONS = {
  old: ['kept', 'dropped'],
  new: ['kept', 'added'],
} as const;

type Topic = (typeof VERSIONS)['old' | 'new'][number];

useBuiltPackage();

describe.each(newestDatabases)('a rolling deploy on $name', ({ create }) => {
  let database: QueueDatabase;

  beforeEach(async () => {
    database = await create();
  });

  afterEach(async () => {
    await killPrograms();
    await database.close();
  });

  function start(name: keyof typeof VERSIONS): Promise<Program> {
    return Program.start('app-version', {
      database: database.address,
      options,
      version: { name, topics: VERSIONS[name] },
    });
  }

  async function enqueueMany(topic: Topic): Promise<string[]> {
    const jobs = Array.from({ length: JOBS_OF_EACH }, () => ({ topic, payload: {} }));
    return (await database.engine.enqueueMany(jobs)).map(({ id }) => id);
  }

  /** Waits for these jobs and returns the versions that ran them. */
  async function findVersions(ids: readonly string[]): Promise<string[]> {
    await Promise.all(ids.map((id) => database.completed(id)));
    const effects = (await database.effects()).filter(({ jobId }) => ids.includes(jobId));
    // Each job ran once. On a busy machine its first claim may have waited too long for a slot, and was released.
    expect(effects.map(({ jobId }) => jobId).sort()).toEqual([...ids].sort());
    return [...new Set(effects.map(({ worker }) => worker))].sort();
  }

  async function expectUnclaimed(ids: readonly string[]): Promise<void> {
    const jobs = await Promise.all(ids.map((id) => database.job(id)));
    expect(new Set(jobs.map(({ status, attempt, lastError }) => `${status} ${attempt} ${lastError}`))).toEqual(
      new Set(['pending 0 null']),
    );
  }

  it('runs every job once, in a version with a handler for it, and leaves all others pending', async () => {
    const old = await start('old');
    const early = await enqueueMany('added');
    expect(await findVersions(await enqueueMany('dropped'))).toEqual(['old']);
    // By now the old version has polled often enough to claim these jobs, if it would.
    await expectUnclaimed(early);

    const fresh = await start('new');
    expect(await findVersions(early)).toEqual(['new']);
    expect(await findVersions(await enqueueMany('dropped'))).toEqual(['old']);
    expect(['old', 'new']).toEqual(expect.arrayContaining(await findVersions(await enqueueMany('kept'))));

    // The old version stops during a job, which it may finish.
    const last = await database.engine.enqueue('dropped', { gated: 1 });
    await old.report('began', ({ id }) => id === last.id);
    old.signal('SIGTERM');
    await old.report('draining');
    const late = await enqueueMany('dropped');
    expect(await findVersions(await enqueueMany('kept'))).toEqual(['new']);
    old.send('open');
    expect(await old.exited).toEqual({ code: 0, signal: null });
    expect(await findVersions([last.id])).toEqual(['old']);
    expect(await findVersions(await enqueueMany('added'))).toEqual(['new']);
    await expectUnclaimed(late);

    // Rolls the deploy back.
    const again = await start('old');
    expect(await findVersions(late)).toEqual(['old']);
    const ends = ['failed', 'retrying', 'rescued', 'lease_lost', 'cancelled'];
    expect([old, fresh, again].flatMap((program) => ends.flatMap((type) => program.events(type)))).toEqual([]);
    expect(await database.findIds('failed')).toEqual([]);
  });
});
