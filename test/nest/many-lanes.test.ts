import { useApps } from './support/apps.js';
import { everyKind } from './support/database-kinds.js';

const POLL_MS = 1_000;

describe.each(everyKind)('a worker over many delayed priorities on $label', (kind) => {
  const apps = useApps(kind);

  it('starts the due job behind them within pollInterval and a second, and is not idle before', async () => {
    const app = await apps.start({ options: { pollInterval: POLL_MS } });
    const delayed = Array.from({ length: 500 }, (_, index) => ({
      topic: 'work',
      payload: index,
      priority: index - 500,
      delay: '1h',
    }));
    await app.jobs.enqueueMany(delayed);
    const { id } = await app.jobs.enqueue('work', 'due', { priority: 700 });
    const sinceMs = performance.now();
    app.jobs.register('work', () => 'done');
    await app.jobs.whenIdle();
    expect(await app.job(id)).toMatchObject({ status: 'completed' });
    expect(performance.now() - sinceMs).toBeLessThan(POLL_MS + 1_000);
    expect(await app.jobs.stats()).toMatchObject({ pending: 500 });
  });
});
