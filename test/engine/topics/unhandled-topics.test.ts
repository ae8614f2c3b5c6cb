import { HandlerRegistry } from '../../../lib/engine/runtime/handler-registry.js';
import { UnhandledTopics } from '../../../lib/engine/topics/unhandled-topics.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { RecordingLogger } from '../../support/unit/recording-logger.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';
import { until } from '../../support/wait.js';
import { logParts } from '../../support/unit/log-parts.js';
import { WORKER_DETAILS } from '../../support/job-rows.js';

const MINUTE_MS = 60_000;

describe('calls that use topics without a handler', () => {
  const fixture = useStore(storeKinds().at(-1)!);
  let clock: VirtualClock;
  let logger: RecordingLogger;
  let topics: UnhandledTopics;

  beforeEach(async () => {
    await fixture.sql('DELETE FROM _jobs_workers');
    [clock, logger] = [new VirtualClock(), new RecordingLogger()];
    const registry = new HandlerRegistry({ topics: undefined, canRunTransactions: false });
    registry.register('here', () => null);
    topics = new UnhandledTopics({
      ...{ store: fixture.store, ...logParts(clock, logger), registry, random: () => 0, role: 'producer' },
    });
  });

  const lines = (): string[] => logger.of('warn');
  const use = (...names: string[]): void => names.forEach((name) => topics.onUsed(name));
  const range = (from: number, to: number): string[] =>
    Array.from({ length: to - from }, (_, index) => `topic number ${from + index}`);

  it('log each topic once in ten minutes', async () => {
    use('mail', 'mail');
    await until(() => lines().length > 0);
    await clock.advance(9 * MINUTE_MS);
    use('mail', 'sms');
    await until(() => lines().length > 1);
    await clock.advance(MINUTE_MS);
    use('mail');
    await until(() => lines().length > 2);
    expect(lines().map((line) => /'(\w+)'/.exec(line)![1])).toEqual(['mail', 'sms', 'mail']);
  });

  it('log at most a hundred topics in ten minutes, and say so once', async () => {
    use(...range(0, 150));
    await until(() => lines().length === 100);
    for (const from of [200, 300]) {
      await clock.advance(1_000);
      const read = jest.spyOn(fixture.store.reports, 'servedTopics');
      use(...range(from, from + 20));
      await until(() => read.mock.calls.length > 0);
      read.mockRestore();
      await until(() => lines().length > 100);
    }
    expect(lines().slice(100)).toEqual(['no live process handles some other topics, too; 100 are named in 10 minutes']);
    await clock.advance(10 * MINUTE_MS);
    use('mail');
    await until(() => lines().length > 101);
    expect(lines()[101]).toContain("'mail'");
  });

  it('send no query for topics of this process', () => {
    const read = jest.spyOn(fixture.store.reports, 'servedTopics');
    for (let call = 0; call < 1_000; call += 1) use('here');
    expect(topics.isHandled('here')).toBe(true);
    expect(read).not.toHaveBeenCalled();
    read.mockRestore();
  });

  it('send one query in 30 seconds for topics of other processes', async () => {
    await fixture.store.reports.recordWorker('other', ['there'], WORKER_DETAILS);
    const read = jest.spyOn(fixture.store.reports, 'servedTopics');
    use('there');
    await until(() => topics.isHandled('there'));
    for (let call = 0; call < 1_000; call += 1) use('there');
    await clock.advance(29_000);
    use('there');
    expect(read).toHaveBeenCalledTimes(1);
    await clock.advance(1_000);
    use(...Array.from({ length: 1_000 }, () => 'there'));
    await until(() => read.mock.calls.length > 1);
    expect(read).toHaveBeenCalledTimes(2);
    expect(lines()).toEqual([]);
    read.mockRestore();
  });

  it('log a topic a minute after its last worker has ended', async () => {
    await fixture.store.reports.recordWorker('other', ['there'], WORKER_DETAILS);
    use('there');
    await until(() => topics.isHandled('there'));
    await fixture.store.reports.forgetWorker('other');
    await clock.advance(59_000);
    expect(topics.isHandled('there')).toBe(true);
    await clock.advance(1_000);
    use('there');
    await until(() => lines().length > 0);
    expect(lines()).toEqual(["no live process handles 'there'; did you mean 'here'? Its jobs wait until one does"]);
  });

  it('read the list at most four times a second to reject topics', async () => {
    const read = jest.spyOn(fixture.store.reports, 'servedTopics');
    const refusals = (count: number) =>
      Promise.allSettled(range(0, count).map((topic) => topics.ensureHandled([{ topic }])));
    await refusals(50);
    expect(read).toHaveBeenCalledTimes(1);
    const later = refusals(50);
    await until(() => clock.waiting > 0);
    expect(clock.nextWakeInMs).toBe(250);
    await clock.advance(250);
    expect((await later).every(({ status }) => status === 'rejected')).toBe(true);
    expect(read).toHaveBeenCalledTimes(2);
    read.mockRestore();
  });
});
