import { guardLogger } from '../../../lib/core/logger.js';
import { HandlerRegistry } from '../../../lib/engine/runtime/handler-registry.js';
import { UnhandledTopics } from '../../../lib/engine/topics/unhandled-topics.js';
import { insertOne, WORKER_DETAILS } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { until } from '../../support/wait.js';
import { RecordingLogger } from '../../support/unit/recording-logger.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';
import { logParts } from '../../support/unit/log-parts.js';

describe.each(storeKinds())('jobs without a handler in any process on $label', (kind) => {
  const fixture = useStore(kind);
  let logger: RecordingLogger;
  let watch: UnhandledTopics;

  beforeEach(async () => {
    await fixture.sql('DELETE FROM _jobs');
    await fixture.sql('DELETE FROM _jobs_workers');
    logger = new RecordingLogger();
    watch = createCheck(new VirtualClock());
  });

  const createCheck = (clock: VirtualClock): UnhandledTopics =>
    new UnhandledTopics({
      ...{ store: fixture.store, ...logParts(clock, guardLogger(logger)), random: () => 0, role: 'worker' },
      registry: new HandlerRegistry({ topics: undefined, canRunTransactions: false }),
    });

  const runChecks = async (count: number): Promise<string[]> => {
    for (let look = 1; look <= count; look += 1) await watch.check();
    return logger.of('warn');
  };

  it('are logged once after two checks have found them', async () => {
    await fixture.store.reports.recordWorker('a', ['mail'], WORKER_DETAILS);
    await insertOne(fixture.store, { topic: 'mial' });
    expect(await runChecks(1)).toEqual([]);
    expect(await runChecks(1)).toEqual([
      "no live process handles 'mial'; did you mean 'mail'? Its jobs wait until one does",
    ]);
    expect(await runChecks(3)).toHaveLength(1);
  });

  it('are not logged when a process with their handler starts in time, as in a deployment', async () => {
    await insertOne(fixture.store, { topic: 'added' });
    await watch.check();
    await fixture.store.reports.recordWorker('new', ['added'], WORKER_DETAILS);
    expect(await runChecks(3)).toEqual([]);
  });

  it('are logged again after they had a handler', async () => {
    await insertOne(fixture.store, { topic: 'mail' });
    expect(await runChecks(2)).toHaveLength(1);
    await fixture.store.reports.recordWorker('a', ['mail'], WORKER_DETAILS);
    await watch.check();
    await fixture.store.reports.forgetWorker('a');
    expect(await runChecks(2)).toHaveLength(2);
  });

  it('are not logged before they are due or after they have ended', async () => {
    await insertOne(fixture.store, { topic: 'later', delayMs: 3_600_000 });
    const cancelled = await insertOne(fixture.store, { topic: 'ended' });
    await fixture.store.cancel([cancelled]);
    expect(await runChecks(3)).toEqual([]);
  });

  it('are logged in one escaped line for any number of topics', async () => {
    for (let topic = 10; topic < 22; topic += 1) await insertOne(fixture.store, { topic: `t${topic}\nerror` });
    const [line, ...more] = await runChecks(2);
    expect(line).toMatch(/^no live process handles 't10 error', 't11 error', .*'t19 error' and 2 other topics; their /);
    expect(line).not.toContain('\n');
    expect(more).toEqual([]);
  });

  it('are checked once a minute, with one statement while nothing waits', async () => {
    const clock = new VirtualClock();
    const { store } = fixture;
    const looked = jest.spyOn(store.reports, 'waitingTopics');
    const asked = jest.spyOn(store.reports, 'servedTopics');
    watch = createCheck(clock);
    watch.start();
    const rounds = async (count: number): Promise<void> => {
      for (let round = 1; round <= count; round += 1) {
        await until(() => clock.waiting > 0);
        await clock.advance(clock.nextWakeInMs);
      }
      await until(() => clock.waiting > 0);
    };
    await until(() => clock.waiting > 0);
    expect(clock.nextWakeInMs).toBe(60_000);
    expect(looked).toHaveBeenCalledTimes(0);
    await rounds(1);
    expect(looked).toHaveBeenCalledTimes(1);
    // With `random` 0 the interval is 10 % shorter.
    expect(clock.nextWakeInMs).toBe(54_000);
    await rounds(1);
    expect(looked).toHaveBeenCalledTimes(2);
    expect(asked).not.toHaveBeenCalled();
    await watch.stop();
  });
});
