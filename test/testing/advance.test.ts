import type { JobContext } from 'nestjs-jobs';
import { JobHandler, JobSchedule } from 'nestjs-jobs';
import { useTestedApps } from './support/tested-app.js';

const start = useTestedApps();
const HOUR_MS = 3_600_000;

class Reports {
  readonly ticks: string[] = [];

  @JobSchedule('0 3 * * *', { name: 'nightly' })
  async nightly(job: JobContext): Promise<void> {
    this.ticks.push(`nightly ${job.schedule!.tick.toISOString().slice(11, 16)} ${job.schedule!.lateMs < 1_000}`);
  }

  @JobSchedule({ every: '1h' }, { name: 'hourly', missed: 'skip' })
  async hourly(): Promise<void> {
    this.ticks.push('hourly');
  }

  @JobHandler('other')
  async other(): Promise<void> {
    this.ticks.push('other');
  }
}

describe('advance', () => {
  it('makes delayed jobs and retries due', async () => {
    const { testing, jobs } = await start({
      handlers: {
        later: () => null,
        flaky: () => {
          throw new Error('no');
        },
      },
      options: { backoff: { type: 'fixed', delay: '5m', jitter: 0 } },
    });
    await jobs.enqueue('later', null, { delay: '1h' });
    await jobs.enqueueAt('later', null, new Date(Date.now() + HOUR_MS));
    await jobs.enqueue('flaky', null);
    expect(await testing.runPending()).toHaveLength(1);
    await testing.advance('59m');
    expect(await testing.runPending()).toMatchObject([{ topic: 'flaky', retries: 2 }]);
    await testing.advance('1m');
    expect(await testing.runPending()).toMatchObject([{ topic: 'later' }, { topic: 'later' }]);
  });

  it('moves the times of new jobs, and none of stored ones', async () => {
    const { testing, jobs } = await start({ handlers: { a: () => null } });
    const before = await jobs.enqueue('a', null, { delay: '1d' });
    await testing.advance('10h');
    expect(await jobs.get(before.id)).toMatchObject({ runAt: before.runAt, created: before.created });
    const after = await jobs.enqueue('a', null);
    for (const time of [after.created, after.runAt]) {
      expect(Math.abs(time.getTime() - Date.now() - 10 * HOUR_MS)).toBeLessThan(60_000);
    }
    const [ran] = await testing.runPending();
    expect(ran!.finished!.getTime()).toBeGreaterThanOrEqual(after.created.getTime());
    expect((await jobs.get(after.id))!.created).toEqual(after.created);
    expect(ran!.finished!.getTime() - after.created.getTime()).toBeLessThan(60_000);
  });

  it('lets jobs expire', async () => {
    const { testing, jobs } = await start({ handlers: { code: () => null } });
    const { id } = await jobs.enqueue('code', null, { expiresIn: '10m' });
    await testing.advance('11m');
    expect(await jobs.get(id)).toMatchObject({ status: 'cancelled', lastError: 'expired' });
    expect(await testing.runPending()).toEqual([]);
  });

  it('fires each tick of a schedule at its time', async () => {
    const reports = new Reports();
    const { testing, jobs } = await start({ providers: [{ provide: Reports, useValue: reports }] });
    await testing.advance('1d');
    await testing.expectEnqueued('nightly', { count: 1 });
    await testing.expectEnqueued('hourly', { count: 24 });
    expect(reports.ticks).toEqual([]);
    await testing.runPending({ topic: 'nightly' });
    expect(reports.ticks).toEqual(['nightly 03:00 true']);
    await testing.runPending();
    await testing.advance('3d');
    await testing.expectEnqueued('nightly', { count: 4 });
    const nightly = (await jobs.schedules.get('nightly'))!;
    expect(nightly).toMatchObject({ isDeclared: true, source: 'code' });
    expect(nightly.nextTick!.getTime()).toBeGreaterThan(Date.now() + 4 * 24 * HOUR_MS);
  });

  it('fires schedules of the API, and not those that are paused', async () => {
    const { testing, jobs } = await start({ handlers: { a: () => null } });
    await jobs.schedules.upsert('often', { every: '10m' }, { topic: 'a' });
    await testing.advance('1h');
    await testing.expectEnqueued('a', { count: 6 });
    await jobs.schedules.pause('often');
    await testing.advance('1h');
    await testing.expectEnqueued('a', { count: 6 });
    await jobs.schedules.resume('often');
    await testing.advance('1h');
    await testing.expectEnqueued('a', { count: 12 });
  });

  it('runs the jobs of schedules in mode inline', async () => {
    const reports = new Reports();
    const { testing } = await start({ mode: 'inline', providers: [{ provide: Reports, useValue: reports }] });
    await testing.advance('1d');
    expect(reports.ticks.filter((tick) => tick === 'hourly')).toHaveLength(24);
    expect(reports.ticks).toContain('nightly 03:00 true');
  });

  it('lets leases expire, and aborts the handler that has lost its lease', async () => {
    const reasons: unknown[] = [];
    let onStarted!: () => void;
    const started = new Promise<void>((resolve) => (onStarted = resolve));
    const { testing, jobs } = await start({
      handlers: {
        slow: async ({ signal }) => {
          onStarted();
          await new Promise((resolve) => signal.addEventListener('abort', resolve));
          reasons.push(signal.reason);
        },
      },
    });
    const { id } = await jobs.enqueue('slow', null);
    const running = testing.runPending();
    await started;
    expect(await jobs.get(id)).toMatchObject({ status: 'processing' });
    await testing.advance('31s');
    await running;
    expect(reasons).toMatchObject([{ name: 'LeaseLostError' }]);
    expect(await jobs.get(id)).toMatchObject({ status: 'pending', retries: 1 });
  });

  it('deletes finished jobs over their age', async () => {
    const { testing, jobs } = await start({ handlers: { a: () => null } });
    const { id } = await jobs.enqueue('a', null);
    await testing.runPending();
    await testing.advance('6d');
    expect(await jobs.get(id)).not.toBeNull();
    await testing.advance('2d');
    expect(await jobs.get(id)).toBeNull();
  });

  it('advances step by step while calls overlap', async () => {
    const { testing, jobs } = await start({ handlers: { a: () => null } });
    await jobs.schedules.upsert('often', { every: '10m' }, { topic: 'a' });
    await Promise.all([testing.advance('30m'), testing.advance('30m')]);
    await testing.expectEnqueued('a', { count: 6 });
  });

  it('rejects wrong durations and too many ticks', async () => {
    const { testing, jobs } = await start({ handlers: { a: () => null } });
    await expect(testing.advance('soon' as never)).rejects.toThrow('advance: expected a duration');
    await expect(testing.advance(-1)).rejects.toThrow('advance: expected a duration');
    await jobs.schedules.upsert('often', { every: '1s' }, { topic: 'a' });
    await expect(testing.advance('1d')).rejects.toThrow('pause frequent schedules, or advance in smaller steps');
  });
});
