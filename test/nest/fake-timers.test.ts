import timers from 'node:timers';
import { sqliteFile } from './support/database-kinds.js';
import { useApps } from './support/apps.js';

describe('a queue under Jest fake timers', () => {
  const apps = useApps(sqliteFile);
  afterEach(() => jest.useRealTimers());

  it('runs in real time, during and after the fake timers', async () => {
    const app = await apps.start({ handlers: { work: () => 'done' } });
    jest.useFakeTimers();
    const unawaited = app.jobs.enqueue('work', 1);
    const { id } = await app.jobs.enqueue('work', 2);
    await app.jobs.whenIdle();
    expect(await app.jobs.get(id)).toMatchObject({ status: 'completed' });

    jest.useRealTimers();
    await unawaited;
    await app.jobs.enqueue('work', 3);
    await app.jobs.whenIdle();
    expect(await app.jobs.stats()).toMatchObject({ completed: 3 });
  });

  it('runs while another library replaces the functions of the timers module', async () => {
    const app = await apps.start({ handlers: { work: () => 'done' } });
    for (const name of ['setImmediate', 'setTimeout'] as const) {
      jest.spyOn(timers, name).mockReturnValue(undefined as never);
    }
    const { id } = await app.jobs.enqueue('work', 1);
    await app.jobs.whenIdle();
    jest.restoreAllMocks();
    expect(await app.jobs.get(id)).toMatchObject({ status: 'completed' });
  });

  it('continues after a job that was enqueued under fake timers and not awaited', async () => {
    const app = await apps.start({ handlers: { work: () => 'done' } });
    jest.useFakeTimers();
    void app.jobs.enqueue('work', 1);
    jest.useRealTimers();
    await app.jobs.enqueue('work', 2);
    await app.jobs.whenIdle();
    expect(await app.jobs.stats()).toMatchObject({ completed: 2 });
  });
});
