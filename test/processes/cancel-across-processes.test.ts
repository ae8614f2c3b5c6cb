/** @matrix sqlite */

import { until } from '../support/wait.js';
import { useBuiltPackage } from './support/built-package.js';
import { killPrograms, Program } from './support/program.js';
import type { QueueDatabase } from './support/queue-database.js';
import { everyDatabase } from './support/queue-database.js';

/** Less than the time between two renewals. */
const ABORTED_WITHIN_MS = 8_000;

useBuiltPackage();

describe.each(everyDatabase)('a job on $name that is cancelled by another process', ({ create }) => {
  let database: QueueDatabase;

  beforeEach(async () => {
    database = await create();
  });

  afterEach(async () => {
    await killPrograms();
    await database.close();
  });

  it('receives the abort at once and ends cancelled', async () => {
    // Renewals also deliver cancels, but they are ten seconds apart.
    const worker = await Program.start('worker', {
      database: database.address,
      options: { lease: '30s', pollInterval: '30s' },
    });
    const { id } = await database.enqueue('plain', { gated: 1, endsOnAbort: true });
    await worker.report('began');

    const cancelledMs = performance.now();
    expect(await database.engine.jobs.cancel(id)).toMatchObject({ id, cancelRequested: true });
    await worker.report('aborted');
    expect(performance.now() - cancelledMs).toBeLessThan(ABORTED_WITHIN_MS);
    expect(worker.all('aborted')).toMatchObject([{ id, attempt: 1, reason: 'cancelled' }]);

    await until(async () => (await database.job(id)).status === 'cancelled', { message: 'the cancelled job' });
    expect(await database.job(id)).toMatchObject({ attempt: 1, retries: 0, lastError: null });
    expect(await database.effects(id)).toEqual([]);
  });

  it('ends cancelled even if its handler returns', async () => {
    const worker = await Program.start('worker', { database: database.address, options: { lease: '30s' } });
    const { id } = await database.enqueue('plain', { gated: 1 });
    await worker.report('began');
    await database.engine.jobs.cancel(id);
    await worker.report('aborted');
    worker.send('open');
    await until(async () => (await database.job(id)).status === 'cancelled', { message: 'the cancelled job' });
    expect(worker.all('returned')).toMatchObject([{ id, attempt: 1 }]);
  });

  it('never runs if it was pending', async () => {
    const { id } = await database.enqueue('plain', { gated: 1 });
    expect(await database.engine.jobs.cancel(id)).toMatchObject({ status: 'cancelled', attempt: 0 });
    await Program.start('worker', { database: database.address });
    const next = await database.enqueue('plain');
    await database.completed(next.id);
    expect(await database.job(id)).toMatchObject({ status: 'cancelled', attempt: 0 });
    expect(await database.effects(id)).toEqual([]);
  });
});
