/**
 * @matrix postgres-18
 * @slow
 */

import type { JobContext } from 'nestjs-jobs';
import { JobsEngine, LeaseLostError } from 'nestjs-jobs';
import { signal, until } from '../support/wait.js';
import type { Apps } from './support/apps.js';
import { useApps } from './support/apps.js';
import { sharedKinds } from './support/database-kinds.js';
import { waitForAbort } from './support/wait-for-abort.js';
import type { TestApp } from './support/test-app.js';
import { some } from './support/matchers.js';

/** Two applications. The second takes the job over while the first runs it. */
interface Takeover {
  readonly first: TestApp;
  readonly second: TestApp;
  readonly id: string;
}

const LEASE_MS = 600;

/** A renewal may extend the expired lease before the rescue, so the lease is set to expired until the job is taken. */
async function takeOver(
  apps: Apps,
  loser: (job: JobContext) => unknown,
  winner: (job: JobContext) => unknown,
): Promise<Takeover> {
  const first = await apps.start({ options: { lease: LEASE_MS }, handlers: { work: loser } });
  const { id } = await first.jobs.enqueue('work', null);
  await first.event('started', id);
  // Otherwise the first application would claim the lost job again after its handler ends.
  first.module.get(JobsEngine).stopClaiming();
  const second = await apps.start({ options: { pollInterval: 20 }, handlers: { work: winner } });
  const aMinuteAgo = new Date(Date.now() - 60_000);
  await until(async () => {
    await second.rows.update({ id, attempt: 1, status: 'processing' }, { lockedUntil: aMinuteAgo });
    return second.eventsOf('started', id).length > 0;
  });
  return { first, second, id };
}

/** Wraps a handler and counts its concurrent calls. */
function countConcurrentCalls(handler: (job: JobContext) => Promise<unknown>): {
  work: (job: JobContext) => Promise<unknown>;
  most: () => number;
} {
  let running = 0;
  let most = 0;
  const work = async (job: JobContext): Promise<unknown> => {
    running += 1;
    most = Math.max(most, running);
    try {
      return await handler(job);
    } finally {
      running -= 1;
    }
  };
  return { work, most: () => most };
}

describe.each(sharedKinds)('a lost lease on $label', (kind) => {
  const apps = useApps(kind);

  it('aborts the signal of the attempt with a LeaseLostError and leaves the job to the new owner', async () => {
    const reasons: unknown[] = [];
    const end = signal();
    const { first, second, id } = await takeOver(
      apps,
      (job) => {
        job.signal.addEventListener('abort', () => reasons.push(job.signal.reason));
        return waitForAbort(job);
      },
      () => end.promise.then(() => 'of the second'),
    );
    const { attempt, topic } = await first.event('lease_lost', id);
    expect({ attempt, topic }).toEqual({ attempt: 1, topic: 'work' });
    expect(reasons).toEqual([some(LeaseLostError)]);
    expect(reasons[0]).toMatchObject({ id, attempt: 1, code: 'LEASE_LOST' });
    expect(await second.job(id)).toMatchObject({ status: 'processing' });
    end.resolve();
    const job = await second.jobAfter('completed', id);
    expect(job).toMatchObject({ status: 'completed', result: 'of the second', retries: 1 });
    expect(job.lastError).toMatch(/lease of attempt 1 lost/);
    expect(first.eventsOf('retrying', id)).toEqual([]);
  });

  it('rejects the late completion of a handler that ignored its signal', async () => {
    const late = signal();
    const { first, second, id } = await takeOver(
      apps,
      () => late.promise.then(() => 'late'),
      () => 'of the second',
    );
    await second.event('completed', id);
    late.resolve();
    await first.event('lease_lost', id);
    expect(await first.job(id)).toMatchObject({ status: 'completed', result: 'of the second' });
    expect(first.eventsOf('completed', id)).toEqual([]);
  });

  it('rejects the late failure of a handler', async () => {
    const late = signal();
    const end = signal();
    const { first, second, id } = await takeOver(
      apps,
      () => late.promise.then(() => Promise.reject(new Error('late'))),
      () => end.promise.then(() => 'of the second'),
    );
    late.resolve();
    await first.event('lease_lost', id);
    const running = await first.job(id);
    expect(running).toMatchObject({ status: 'processing', retries: 1 });
    expect(running.lastError).not.toContain('late');
    end.resolve();
    expect(await second.jobAfter('completed', id)).toMatchObject({ result: 'of the second', retries: 1 });
  });

  it('makes completeTx of the attempt reject, and drops its progress', async () => {
    const late = signal();
    const outcomes: unknown[] = [];
    const { first, second, id } = await takeOver(
      apps,
      async (job) => {
        await late.promise;
        // Rejects when the process has noticed already that the lease is lost.
        await job.progress('late').catch(() => undefined);
        outcomes.push(
          await first.dataSource
            .transaction((manager) => job.completeTx(manager, 'late'))
            .catch((error: unknown) => error),
        );
      },
      () => 'of the second',
    );
    await second.event('completed', id);
    late.resolve();
    await first.event('lease_lost', id);
    await until(() => outcomes.length > 0, { message: 'the end of completeTx' });
    expect(outcomes).toEqual([some(LeaseLostError)]);
    expect(await second.job(id)).toMatchObject({ status: 'completed', result: 'of the second', progress: null });
  });

  it('unknown to the database after a failover to a stale replica starts no second call of the handler', async () => {
    const stuck = signal();
    const { work, most } = countConcurrentCalls(() => stuck.promise);
    const app = await apps.start({ options: { pollInterval: 20 }, handlers: { work } });
    const { id } = await app.jobs.enqueue('work', null);
    await app.event('started', id);
    const unclaimed = { status: 'pending', attempt: 0, lockedBy: null, lockedUntil: null, started: null } as const;
    await app.rows.update({ id }, unclaimed);
    // The job is claimed as a first attempt and released.
    await app.event('released', id, 2);
    stuck.resolve();
    await until(async () => (await app.job(id)).status === 'completed');
    expect(most()).toBe(1);
  });

  it('of a blocked handler: the same process claims the job again and runs it after the handler returns', async () => {
    const stuck = signal();
    const { work, most } = countConcurrentCalls(async ({ attempt }) => {
      if (attempt === 1) await stuck.promise;
      return attempt;
    });
    const app = await apps.start({ options: { pollInterval: 20 }, handlers: { work } });
    const { id } = await app.jobs.enqueue('work', null);
    await app.event('started', id);
    await app.rows.update({ id }, { lockedUntil: new Date(Date.now() - 60_000) });
    // Each claim is released without a charged retry, because an older attempt still runs here.
    await app.event('released', id, 3);
    expect(await app.job(id)).toMatchObject({ retries: 1, attempt: expect.any(Number) as number });
    expect(app.eventsOf('started', id)).toHaveLength(1);
    stuck.resolve();
    const { result, retries } = await app.jobAfter('completed', id);
    expect({ runs: app.eventsOf('started', id).length, retries, most: most() }).toEqual({
      runs: 2,
      retries: 1,
      most: 1,
    });
    expect(result).toBeGreaterThan(3);
  });

  it('fails a job without retries left and emits the event failed', async () => {
    const end = signal();
    const app = await apps.start({ options: { maxRetries: 0, lease: '30s' }, handlers: { work: () => end.promise } });
    const { id } = await app.jobs.enqueue('work', null);
    await app.event('started', id);
    await app.rows.update({ id }, { lockedUntil: new Date(Date.now() - 60_000) });
    const { durationMs, error, attempt } = await app.event('failed', id);
    expect({ durationMs, attempt }).toEqual({ durationMs: null, attempt: 1 });
    expect(error.message).toMatch(/lease of attempt 1 lost/);
    expect(await app.job(id)).toMatchObject({ status: 'failed', retries: 0, lastError: error.message });
    end.resolve();
    await app.event('lease_lost', id);
    expect(await app.job(id)).toMatchObject({ status: 'failed', result: null });
  });

  it('does not happen while the lease is renewed, however long the handler runs', async () => {
    const end = signal();
    const app = await apps.start({ options: { lease: 300 }, handlers: { work: () => end.promise } });
    const { id } = await app.jobs.enqueue('work', null);
    await app.event('started', id);
    const { lockedUntil } = await app.job(id);
    // The expiry three leases later, in the database's own time.
    const later = lockedUntil!.getTime() + 900;
    await until(async () => (await app.job(id)).lockedUntil!.getTime() > later);
    end.resolve();
    expect(await app.jobAfter('completed', id)).toMatchObject({ attempt: 1, retries: 0 });
    expect(app.eventsOf('lease_lost')).toEqual([]);
  });
});
