/** @matrix postgres-18 */

import { signal, until } from '../support/wait.js';
import { useApps } from './support/apps.js';
import { sharedKinds } from './support/database-kinds.js';
import type { TestApp } from './support/test-app.js';

const HOUR_MS = 3_600_000;

/** Everything that Jest can fake, except the time of day. */
const NOT_THE_CLOCK = [
  ...(['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'setImmediate', 'clearImmediate'] as const),
  ...(['nextTick', 'queueMicrotask', 'performance', 'hrtime'] as const),
];

/** Simulates a step of the database clock: moves all stored times by the same amount in the other direction. */
async function stepDatabaseClock({ rows }: TestApp, byMs: number): Promise<void> {
  const changed = (time: Date | null): Date | null => time && new Date(time.getTime() - byMs);
  for (const { id, runAt, lockedUntil } of await rows.find()) {
    await rows.update(id, { runAt: changed(runAt)!, lockedUntil: changed(lockedUntil) });
  }
}

describe.each(sharedKinds)('a step of the clock, with a queue on $label:', (kind) => {
  const apps = useApps(kind);

  afterEach(() => jest.useRealTimers());

  it('the clock of the application has no effect on due times and leases', async () => {
    const done = signal();
    const app = await apps.start({
      options: { lease: '3s' },
      handlers: { work: () => 'done', long: () => done.promise },
    });
    const delayed = await app.jobs.enqueue('work', null, { delay: '10m' });
    const long = await app.jobs.enqueue('long', null);
    await app.event('started', long.id);
    for (const byMs of [HOUR_MS, -HOUR_MS, 24 * HOUR_MS]) {
      jest.useRealTimers();
      jest.useFakeTimers({ now: Date.now() + byMs, doNotFake: [...NOT_THE_CLOCK] });
      const { id } = await app.jobs.enqueue('work', null);
      await app.event('completed', id);
      // The lease is renewed by the clock of the database.
      const leaseEnd = async (): Promise<number> => (await app.job(long.id)).lockedUntil!.getTime();
      const before = await leaseEnd();
      await until(async () => (await leaseEnd()) > before);
    }
    done.resolve();
    expect(await app.jobAfter('completed', long.id)).toMatchObject({ attempt: 1, retries: 0 });
    expect(await app.job(delayed.id)).toMatchObject({ status: 'pending', attempt: 0 });
    expect(apps.log.of('warn')).toEqual([]);
  });

  it('the clock of the database steps forward: delayed jobs start, leases expire, and the older attempt cannot complete', async () => {
    const done = signal<string>();
    const options = { lease: '30m' } as const;
    // The only slot stays occupied, so this process cannot claim the job a second time.
    const app = await apps.start({
      options,
      handlers: { work: () => 'done', long: [() => done.promise, { concurrency: 1 }] },
    });
    const delayed = await app.jobs.enqueue('work', null, { delay: '30m' });
    const long = await app.jobs.enqueue('long', null);
    await app.event('started', long.id);
    const other = await apps.start({ options, handlers: { long: () => 'of the other' } });
    await stepDatabaseClock(app, HOUR_MS);
    await app.event('completed', delayed.id);
    await other.event('completed', long.id);
    done.resolve('too late');
    await app.event('lease_lost', long.id);
    expect(await app.job(long.id)).toMatchObject({ status: 'completed', retries: 1, result: 'of the other' });
    expect(app.eventsOf('completed', long.id)).toEqual([]);
  });

  it('the clock of the database steps back: delayed jobs wait longer, new jobs run, and running jobs complete', async () => {
    const done = signal<string>();
    const app = await apps.start({ handlers: { work: () => 'done', long: () => done.promise } });
    const delayed = await app.jobs.enqueue('work', null, { delay: '30m' });
    const long = await app.jobs.enqueue('long', null);
    await app.event('started', long.id);
    await stepDatabaseClock(app, -HOUR_MS);
    const fresh = await app.jobs.enqueue('work', null);
    expect(await app.jobAfter('completed', fresh.id)).toMatchObject({ attempt: 1 });
    done.resolve('first');
    expect(await app.jobAfter('completed', long.id)).toMatchObject({ attempt: 1, result: 'first' });
    expect(await app.job(delayed.id)).toMatchObject({ status: 'pending' });
    expect(app.eventsOf('lease_lost')).toEqual([]);
  });
});
