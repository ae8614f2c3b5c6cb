/** @never postgres-18 */

import { useApps } from './support/apps.js';
import { everyKind } from './support/database-kinds.js';

const POLL_MS = 1_000;

describe.each(everyKind)('a worker with 500 priorities of delayed jobs on $label', (kind) => {
  const apps = useApps(kind);

  it('starts a due job of a lower priority in one of the first polls, and whenIdle waits for it', async () => {
    const app = await apps.start({ options: { pollInterval: POLL_MS } });
    const delayed = Array.from({ length: 500 }, (_, index) => ({
      topic: 'work',
      payload: index,
      priority: index - 500,
      delay: '1h' as const,
    }));
    await app.jobs.enqueueMany(delayed);
    const { id } = await app.jobs.enqueue('work', 'due', { priority: 700 });
    const sinceMs = performance.now();
    app.jobs.register('work', () => 'done');
    await app.jobs.whenIdle();
    expect(await app.job(id)).toMatchObject({ status: 'completed' });
    expect(performance.now() - sinceMs).toBeLessThan(10 * POLL_MS);
    expect(await app.jobs.stats()).toMatchObject({ pending: 500 });
  });
});
