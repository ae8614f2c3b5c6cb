import type { JobEvent } from 'nestjs-jobs';
import { JobsEngine } from 'nestjs-jobs';
import type { Clock } from '../../../lib/core/clock.js';
import type { Claim } from '../../../lib/core/job.js';
import { systemClock } from '../../../lib/store/runtime/system-clock.js';
import type { JobStore } from '../../../lib/store/job-store.js';
import type { ClaimResult } from '../../../lib/store/jobs/job-records.js';
import { overrideStore } from '../../support/override-store.js';
import { claim, insertOne, rescue, TOPIC } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { until } from '../../support/wait.js';

const LEASE_MS = 5_000;

/** Suspends the process once for longer than the lease, while the response to its first claim is on its way. */
class PausedProcess implements Clock {
  readonly runs: number[] = [];
  readonly events: JobEvent[] = [];
  readonly engine: JobsEngine;
  private lostMs = 0;
  private isPaused = false;

  constructor(
    private readonly store: JobStore,
    private readonly duringSuspension: (claims: readonly Claim[]) => Promise<unknown>,
  ) {
    const pausing = overrideStore(store, { claim: (request) => this.claim(request) });
    this.engine = new JobsEngine({ store: pausing, clock: this, lease: LEASE_MS, pollInterval: 50 });
    this.engine.events.subscribe((event) => this.events.push(event));
    this.engine.register(TOPIC, ({ attempt }) => void this.runs.push(attempt));
  }

  now(): number {
    return systemClock.now() + this.lostMs;
  }

  schedule: Clock['schedule'] = (ms, wake) => systemClock.schedule(ms, wake);

  hasEvent(type: JobEvent['type']): boolean {
    return this.events.some((event) => event.type === type);
  }

  private async claim(request: Parameters<JobStore['claim']>[0]): Promise<ClaimResult> {
    const result = await this.store.claim(request);
    const { claims } = result;
    if (claims.length > 0 && !this.isPaused) {
      this.isPaused = true;
      await this.duringSuspension(claims);
      this.lostMs = LEASE_MS;
    }
    return result;
  }
}

describe.each(storeKinds())('a claim whose lease expired before its handler started, on $label', (kind) => {
  const fixture = useStore(kind);
  let paused: PausedProcess;

  async function start(duringSuspension: (claims: readonly Claim[]) => Promise<unknown>): Promise<string> {
    const id = await insertOne(fixture.store);
    paused = new PausedProcess(fixture.store, duringSuspension);
    await paused.engine.start();
    return id;
  }

  afterEach(() => paused.engine.close());

  it('is released without a retry, and the job is claimed again', async () => {
    const id = await start(async () => undefined);
    await until(() => paused.hasEvent('completed'));
    expect(paused.runs).toEqual([2]);
    expect((await fixture.store.find([id]))[0]).toMatchObject({ status: 'completed', attempt: 2, retries: 0 });
  });

  it('does not run when another process claimed the job', async () => {
    const id = await start(async ([claimed]) => {
      await fixture.expire(claimed!.id);
      await rescue(fixture.store, 1);
      await claim(fixture.store, { worker: 'another' });
    });
    await until(() => paused.hasEvent('lease_lost'));
    expect(paused.runs).toEqual([]);
    expect((await fixture.store.find([id]))[0]).toMatchObject({
      status: 'processing',
      lockedBy: 'another',
      attempt: 2,
    });
  });
});
