import { KnownTopics } from '../../../lib/engine/topics/known-topics.js';
import { HandlerRegistry } from '../../../lib/engine/runtime/handler-registry.js';
import { JobsEngine } from 'nestjs-jobs';
import { claimOne, WORKER_DETAILS } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';

describe.each(storeKinds())('known topics on $label', (kind) => {
  const fixture = useStore(kind);
  let clock: VirtualClock;
  let topics: KnownTopics;

  beforeEach(async () => {
    clock = new VirtualClock();
    const registry = new HandlerRegistry({ topics: undefined, canRunTransactions: false });
    registry.register('here', () => undefined);
    topics = new KnownTopics({ store: fixture.store, clock, registry });
    for (const table of ['_jobs', '_jobs_workers', '_jobs_topics', '_jobs_schedules']) {
      await fixture.sql(`DELETE FROM ${table}`);
    }
  });

  it('are those with a job, a handler, a setting or a schedule', async () => {
    const engine = new JobsEngine({ store: fixture.store, role: 'producer' });
    await claimOne(fixture.store, { topic: 'running' });
    await engine.enqueue('waiting', 1, { delay: '1h' });
    await engine.jobs.cancel((await engine.enqueue('ended', 1, { delay: '1h' })).id);
    await engine.topics.pause('paused');
    await engine.schedules.put('weekly', '0 7 * * 1', { topic: 'scheduled' });
    await fixture.store.reports.recordWorker('other', ['there'], WORKER_DETAILS);
    expect(await topics.list()).toEqual(['ended', 'here', 'paused', 'running', 'scheduled', 'there', 'waiting']);
    expect(
      await topics.findUnknown(['ended', 'here', 'paused', 'scheduled', 'there', 'waiting', 'no', 'wait']),
    ).toEqual(['no', 'wait']);
    expect(await topics.findUnknown([])).toEqual([]);
  });

  it('cost one query a minute for a topic that exists, and one at a time for others', async () => {
    const engine = new JobsEngine({ store: fixture.store, role: 'producer' });
    await engine.enqueue('stored', 1, { delay: '1h' });
    const query = jest.spyOn(fixture.store.reports, 'existingTopics');
    for (let call = 0; call < 100; call += 1) {
      expect(await topics.findUnknown(['here', 'stored'])).toEqual([]);
    }
    expect(query).toHaveBeenCalledTimes(1);
    await clock.advance(60_000);
    await topics.findUnknown(['stored']);
    expect(query).toHaveBeenCalledTimes(2);
    const unknown = await Promise.all(Array.from({ length: 100 }, (_, n) => topics.findUnknown([`no${n}`])));
    expect(unknown.flat()).toHaveLength(100);
    expect(query.mock.calls.length).toBeLessThan(6);
    query.mockRestore();
  });

  it('are not listed when there are more than 1,000', async () => {
    const engine = new JobsEngine({ store: fixture.store, role: 'producer' });
    const newJobs = Array.from({ length: 1_000 }, (_, n) => ({ topic: `t${n}`, payload: 1, delay: '1h' as const }));
    await engine.enqueueMany(newJobs.slice(1));
    expect(await topics.list()).toHaveLength(1_000);
    await clock.advance(5_000);
    await engine.enqueueMany(newJobs.slice(0, 1));
    expect(await topics.list()).toBeNull();
    expect((await fixture.store.reports.knownTopics(10)).length).toBeLessThan(41);
  });
});
