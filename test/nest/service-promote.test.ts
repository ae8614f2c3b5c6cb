/** @matrix postgres-18 */

import { useApps } from './support/apps.js';
import { everyKind, sharedKinds } from './support/database-kinds.js';

describe.each(everyKind)('promote on $label', (kind) => {
  const apps = useApps(kind);

  it('runs a delayed job now and a retry now, without a change of its retries', async () => {
    const app = await apps.start({
      options: { maxRetries: 1, backoff: { type: 'fixed', delay: '1h' } },
      handlers: { work: () => Promise.reject(new Error('not yet')) },
    });
    const { id } = await app.jobs.enqueue('work', null, { delay: '1h' });
    expect(await app.jobs.promote(id)).toMatchObject({ id, status: 'pending', attempt: 0 });
    await app.event('retrying', id);
    expect(await app.jobs.promote(id)).toMatchObject({ status: 'pending', attempt: 1, retries: 1 });
    expect(await app.jobAfter('failed', id)).toMatchObject({ attempt: 2, retries: 1 });
    await expect(app.jobs.promote(id)).rejects.toThrow(/it is failed/);
  });
});

describe.each(sharedKinds)('promote from another application on $label', (kind) => {
  const apps = useApps(kind);

  it('wakes the worker', async () => {
    const runner = await apps.start({ options: { pollInterval: '1h' }, handlers: { work: () => 'done' } });
    const producer = await apps.start({ options: { role: 'producer' } });
    const { id } = await producer.jobs.enqueue('work', null, { delay: '1h' });
    await producer.jobs.promote(id);
    expect(await runner.jobAfter('completed', id)).toMatchObject({ result: 'done', attempt: 1 });
  });
});
