/** @never postgres-18 */

import { InvalidOptionsError, QueueUnavailableError } from 'nestjs-jobs';
import type { JobsModuleOptions } from 'nestjs-jobs';
import { TcpProxy } from '../support/tcp-proxy.js';
import { until } from '../support/wait.js';
import { useApps } from './support/apps.js';
import type { DatabaseKind } from './support/database-kinds.js';
import { everyKind, postgres, sharedKinds } from './support/database-kinds.js';
import type { TestApp } from './support/test-app.js';

const HINT = "no live process handles 'mial'; did you mean 'mail'?";
const LINE = `${HINT} Its jobs wait until one does`;

const USES: readonly { readonly call: string; readonly use: (app: TestApp) => Promise<unknown> }[] = [
  { call: 'enqueue', use: ({ jobs }) => jobs.enqueue('mial', null) },
  { call: 'enqueueAt', use: ({ jobs }) => jobs.enqueueAt('mial', null, new Date(Date.now() + 3_600_000)) },
  { call: 'enqueueMany', use: ({ jobs }) => jobs.enqueueMany([{ topic: 'mial', payload: null }]) },
  {
    call: 'enqueueTx',
    use: ({ jobs, dataSource }) => dataSource.transaction((manager) => jobs.enqueueTx(manager, 'mial', null)),
  },
  { call: 'pause', use: ({ jobs }) => jobs.pause('mial') },
];

/** Nest appends the stack and the context to the text. */
const withoutContext = (line: string): string => line.replace(/( undefined)? Jobs$/, '');

const useTopicApps = (kind: DatabaseKind) => {
  const apps = useApps(kind);
  const handlers = { mail: () => null };
  const warnings = (): string[] => apps.log.of('warn', 'no live process handles').map(withoutContext);
  return {
    apps,
    warnings,
    start: (options: JobsModuleOptions = {}) => apps.start({ options, handlers }),
    startProducer: (options: JobsModuleOptions = {}) => apps.start({ options: { role: 'producer', ...options } }),
    untilWarned: () => until(() => warnings().length > 0, { message: 'a warning' }),
  };
};

describe.each(everyKind)('a topic that no live process handles, on $label,', (kind) => {
  const { apps, start, warnings, untilWarned } = useTopicApps(kind);

  it.each(USES)('is logged at once with the nearest name after $call', async ({ use }) => {
    const app = await start();
    await use(app);
    await untilWarned();
    expect(warnings()).toEqual([LINE]);
  });

  it.each(USES)('is rejected by $call with strictTopics, and nothing is stored', async ({ use }) => {
    const app = await start({ strictTopics: true });
    const error: unknown = await use(app).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect(error).toMatchObject({ code: 'INVALID_OPTIONS', reason: HINT });
    expect(await app.jobs.topics.list()).toEqual([expect.objectContaining({ topic: 'mail', total: 0 })]);
    expect(warnings()).toEqual([]);
  });

  it('is named by its place in a list', async () => {
    const app = await start({ strictTopics: true });
    const jobs = ['mail', 'mial'].map((topic) => ({ topic, payload: null }));
    await expect(app.jobs.enqueueMany(jobs)).rejects.toMatchObject({ option: 'jobs[1].topic' });
  });

  it('is logged once for any number of calls', async () => {
    const app = await start();
    await Promise.all(Array.from({ length: 20 }, (_, payload) => app.jobs.enqueue('mial', payload)));
    await untilWarned();
    await app.jobs.enqueue('mial', null);
    await app.jobs.enqueue('other', null);
    await until(() => warnings().length > 1);
    expect(warnings()).toEqual([LINE, "no live process handles 'other'; its jobs wait until one does"]);
  });

  it('is not logged for an enqueue that was rolled back', async () => {
    const app = await start();
    const failed = app.dataSource.transaction(async (manager) => {
      await app.jobs.enqueueTx(manager, 'mial', null);
      throw new Error('no');
    });
    await expect(failed).rejects.toThrow('no');
    await app.jobs.enqueue('other', null);
    await untilWarned();
    expect(warnings()).toEqual([expect.stringContaining("'other'")]);
  });

  it('is not logged or rejected before the start, when its handler is registered after the call', async () => {
    const app = await apps.create({ options: { strictTopics: true } });
    const { id } = await app.jobs.enqueue('late', null);
    await app.jobs.enqueue('mial', null);
    app.jobs.register('late', () => null);
    await app.app.init();
    await app.event('completed', id);
    await untilWarned();
    expect(warnings()).toEqual([expect.stringContaining("'mial'")]);
  });

  it('may be paused with strictTopics while jobs of it wait', async () => {
    const app = await apps.create({ options: { strictTopics: true } });
    await app.jobs.enqueue('down', null);
    await app.app.init();
    await app.jobs.pause('down');
    expect(await app.jobs.topics.list()).toMatchObject([{ topic: 'down', hasHandler: false }]);
  });
});

describe.each(everyKind)('whenIdle on $label', (kind) => {
  const { apps, start } = useTopicApps(kind);
  const logged = (): string[] => apps.log.of('error', 'whenIdle').map(withoutContext);

  const rejection = async (app: TestApp): Promise<unknown> => app.jobs.whenIdle().catch((thrown: unknown) => thrown);

  it('rejects with the due jobs without a handler in this process', async () => {
    const app = await start();
    await app.jobs.enqueue('mial', 1);
    await app.jobs.enqueue('mial', 2, { delay: '1h' });
    expect(await rejection(app)).toEqual(
      new InvalidOptionsError(
        'whenIdle',
        "1 job of 'mial' is due and has no handler in a live process; did you mean 'mail'?",
      ),
    );
    await app.jobs.enqueueMany(['mial', 'sms'].map((topic) => ({ topic, payload: null })));
    expect(await rejection(app)).toMatchObject({
      message:
        "whenIdle: 2 jobs of 'mial' and 1 job of 'sms' are due and have no handler in a live process; did you mean 'mail'?",
    });
  });

  it('rejects with strictTopics too', async () => {
    const app = await apps.create({ options: { strictTopics: true } });
    await app.jobs.enqueue('other', null);
    await app.app.init();
    const error = await rejection(app);
    expect(error).toBeInstanceOf(InvalidOptionsError);
    expect(error).toMatchObject({
      message: "whenIdle: 1 job of 'other' is due and has no handler in a live process",
    });
  });

  it('does not name jobs that are not due, or whose topic this process leaves to others', async () => {
    const app = await apps.start({
      options: { topics: ['mail'] },
      handlers: { mail: () => null, other: () => null },
    });
    await app.jobs.enqueue('mial', null, { delay: '1h' });
    await app.jobs.enqueue('other', null);
    await app.jobs.whenIdle();
    expect(logged()).toEqual([]);
  });
});

describe.each(sharedKinds)('a topic with a handler in another process, on $label,', (kind) => {
  const { apps, start, startProducer, warnings, untilWarned } = useTopicApps(kind);

  it('is accepted in a producer with strictTopics as soon as the worker has started', async () => {
    const producer = await startProducer({ strictTopics: true });
    await expect(producer.jobs.enqueue('mail', null)).rejects.toThrow("no live process handles 'mail'");
    const worker = await start();
    const { id } = await producer.jobs.enqueue('mail', null);
    await worker.event('completed', id);
    await expect(producer.jobs.pause('mial')).rejects.toThrow(HINT);
    expect(warnings()).toEqual([]);
  });

  it('is not logged in a producer, whose mistyped topics are', async () => {
    const worker = await start();
    const producer = await startProducer();
    const { id } = await producer.jobs.enqueue('mail', null);
    await worker.event('completed', id);
    await producer.jobs.enqueue('mial', null);
    await untilWarned();
    expect(warnings()).toEqual([LINE]);
  });

  it('is not handled by a producer with the class of the handler, nor by a worker whose topics leave it out', async () => {
    const producer = await start({ role: 'producer', strictTopics: true });
    await start({ topics: ['other'] });
    await expect(producer.jobs.enqueue('mail', null)).rejects.toThrow("no live process handles 'mail'");
  });

  it('stays accepted for a while after its worker has stopped, as in a deployment', async () => {
    const worker = await start();
    const producer = await startProducer({ strictTopics: true });
    await producer.jobs.enqueue('mail', null);
    await worker.close();
    expect(await producer.jobs.enqueue('mail', null)).toMatchObject({ status: 'pending' });
  });

  it('is not named by whenIdle', async () => {
    await start();
    const other = await apps.start({ handlers: { other: () => null } });
    await other.jobs.pause('mail');
    await other.jobs.enqueue('mail', null);
    await other.jobs.whenIdle();
    expect(apps.log.of('error', 'whenIdle')).toEqual([]);
  });
});

describe('a topic without a handler during a PostgreSQL outage', () => {
  const { apps } = useTopicApps(postgres);

  it.each([true, false])('rejects as an enqueue does, with strictTopics: %p', async (strictTopics) => {
    const proxy = TcpProxy.before((apps.address as { url: string }).url);
    await proxy.open();
    apps.afterEverything(() => proxy.close());
    const app = await apps.start({ typeOrm: { url: proxy.url }, options: { strictTopics } });
    await proxy.close();
    await expect(app.jobs.enqueue('mial', null)).rejects.toThrow(QueueUnavailableError);
    await proxy.open();
  });
});
