/**
 * @matrix postgres-18
 * @never postgres-15, memory
 * @slow
 */

import type { JobContext, JobsOptions } from 'nestjs-jobs';
import { defineJob, InvalidOptionsError, InvalidPayloadError, JobsEngine } from 'nestjs-jobs';
import { filter, firstValueFrom } from 'rxjs';
import { ScheduleNotFoundError, ScheduleStateError } from '../../../lib/core/errors.js';
import type { ScheduleOptions } from '../../../lib/core/schedule.js';
import type { JobStore } from '../../../lib/store/job-store.js';
import { orphanDefinitions } from '../../support/declared.js';
import { overrideStore } from '../../support/override-store.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { until } from '../../support/wait.js';

const EVERY_SECOND = '* * * * * *';
const MINUTE = 60_000;

describe.each(storeKinds())('schedules on $label', (kind) => {
  const fixture = useStore(kind);
  const engines: JobsEngine[] = [];

  beforeEach(() => fixture.sql('DELETE FROM _jobs_schedules'));
  afterEach(async () => {
    await Promise.all(engines.splice(0).map((engine) => engine.close()));
  });

  function process(store: JobStore = fixture.store, options: JobsOptions = {}): JobsEngine {
    const engine = new JobsEngine({ store, ...options });
    engines.push(engine);
    return engine;
  }

  const jobs = async (): Promise<{ id: string; topic: string; metadata: string }[]> =>
    fixture.sql('SELECT * FROM _jobs ORDER BY id');
  const untilJobs = (topic: string, least: number, timeoutMs?: number): Promise<unknown> =>
    until(async () => (await jobs()).filter((job) => job.topic === topic).length >= least, {
      message: `${least} jobs of ${topic}`,
      ...(timeoutMs && { timeoutMs }),
    });

  /** Moves the next tick of a schedule. Seen from the cursor, a step of the clock is the same. */
  async function setNextTick(name: string, nextTick: Date): Promise<void> {
    const { schedules } = await fixture.store.schedules.list();
    const { revision, source, ...stored } = schedules.find((schedule) => schedule.name === name)!;
    await fixture.store.schedules.put({ name, source, revision, nextTick, definition: definitionOf(stored) });
  }

  it('add a job for each tick, which its handler runs', async () => {
    const engine = process();
    const seen: JobContext[] = [];
    engine.register('report', (job) => void seen.push(job as JobContext));
    await engine.schedules.upsert('s', EVERY_SECOND, { topic: 'report', payload: { a: 1 }, metadata: { b: 2 } });
    await engine.start();
    await until(() => seen.length >= 2, { message: 'two runs' });
    const { payload, schedule } = seen[0]!;
    expect({ payload, name: schedule!.name }).toEqual({ payload: { a: 1 }, name: 's' });
    expect(schedule!.lateMs).toBeLessThan(5_000);
    expect(schedule!.tick.getMilliseconds()).toBe(0);
    const { lastTick, lastJobId } = (await engine.schedules.get('s'))!;
    expect([lastTick, lastJobId]).not.toContain(null);
    const [job] = (await engine.jobs.list()).items;
    expect(job!.metadata).toMatchObject({ b: 2, $schedule: { name: 's' } });
  });

  it('emit enqueued for each job', async () => {
    const engine = process();
    await engine.schedules.upsert('s', EVERY_SECOND, { topic: 'report' });
    const event = firstValueFrom(engine.events.pipe(filter(({ type }) => type === 'enqueued')));
    await engine.start();
    expect(await event).toMatchObject({ topic: 'report' });
  });

  it('from code run in processes that declare them', async () => {
    const engine = process();
    engine.declareSchedule('s', EVERY_SECOND, { topic: 'report' });
    await engine.start();
    await until(async () => (await jobs()).length >= 1, { message: 'a job' });
    expect(await engine.schedules.list()).toMatchObject([{ name: 's', source: 'code', isDeclared: true }]);
  });

  it('from code do not run in a process that does not declare them, and are kept', async () => {
    const first = process();
    first.declareSchedule('s', EVERY_SECOND, { topic: 'report' });
    await first.start();
    await until(async () => (await jobs()).length >= 1, { message: 'a job' });
    await first.close();
    const count = (await jobs()).length;
    const second = process();
    await second.schedules.upsert('other', EVERY_SECOND, { topic: 'other' });
    await second.start();
    await until(async () => (await jobs()).filter(({ topic }) => topic === 'other').length >= 2, {
      message: 'two other jobs',
    });
    expect((await jobs()).filter(({ topic }) => topic === 'report')).toHaveLength(count);
    expect(await second.schedules.get('s')).toMatchObject({ source: 'code' });
  });

  it('from code are removed 30 days after the last declaration', async () => {
    const first = process();
    first.declareSchedule('old', { every: '1h' }, { topic: 'report' });
    first.declareSchedule('recent', { every: '1h' }, { topic: 'report' });
    await first.start();
    await until(async () => (await first.schedules.list()).length === 2, { message: 'the declarations' });
    await first.close();
    await orphanDefinitions(fixture, { where: "name = 'old'", ageMs: 31 * 86_400_000 });
    await orphanDefinitions(fixture, { where: "name = 'recent'", ageMs: 29 * 86_400_000 });
    const second = process();
    await second.start();
    await until(async () => (await second.schedules.list()).length === 1, { message: 'the removal' });
    expect(await second.schedules.list()).toMatchObject([{ name: 'recent', isDeclared: false }]);
  });

  it('that are created by a producer do not fire in it', async () => {
    const producer = process(fixture.store, { role: 'producer' });
    await producer.start();
    const { nextTick } = await producer.schedules.upsert('s', EVERY_SECOND, { topic: 'report' });
    const end = nextTick!.getTime() + 1_000;
    await until(async () => (await fixture.now()).getTime() > end, { message: 'two ticks' });
    expect(await jobs()).toEqual([]);
    await process().start();
    await untilJobs('report', 1);
  });

  it('of a producer do not fire', async () => {
    const producer = process(fixture.store, { role: 'producer' });
    producer.declareSchedule('s', EVERY_SECOND, { topic: 'report' });
    await producer.start();
    expect(await producer.schedules.list()).toEqual([]);
  });

  it('never fire for the past when they are new', async () => {
    const engine = process();
    engine.declareSchedule(
      's',
      { every: '1h', anchor: new Date(Date.now() - 30 * MINUTE) },
      { topic: 't', missed: 'all' },
    );
    await engine.start();
    await until(async () => (await engine.schedules.list()).length === 1, { message: 'the declaration' });
    const [schedule] = await engine.schedules.list();
    expect(schedule!.nextTick!.getTime()).toBeGreaterThan((await fixture.now()).getTime());
    expect(await jobs()).toEqual([]);
  });

  it('catch up missed ticks by their policy', async () => {
    const engine = process();
    const tick = new Date(Math.floor(Date.now() / MINUTE) * MINUTE - 10 * MINUTE);
    for (const policy of ['skip', 'last', 'all'] as const) {
      const options: ScheduleOptions = { topic: policy, missed: { policy, max: 4 } };
      await engine.schedules.upsert(policy, { every: '2m', anchor: tick }, options);
      await setNextTick(policy, tick);
    }
    await engine.start();
    await until(
      async () => (await engine.schedules.list()).every(({ nextTick }) => nextTick!.getTime() > tick.getTime()),
      { message: 'all fired' },
    );
    const count = async (topic: string) => (await jobs()).filter((job) => job.topic === topic).length;
    const isEvenMinute = await count('skip');
    expect(isEvenMinute).toBeLessThanOrEqual(1);
    expect(await count('last')).toBe(1 + isEvenMinute);
    expect(await count('all')).toBe(4 + isEvenMinute);
  });

  it('wait when the clock of the database is set back', async () => {
    const engine = process();
    await engine.schedules.upsert('waiting', EVERY_SECOND, { topic: 'waiting', missed: 'all' });
    await engine.schedules.upsert('other', EVERY_SECOND, { topic: 'other' });
    const cursor = new Date(Math.ceil((await fixture.now()).getTime() / 1_000 + 3_600) * 1_000);
    await setNextTick('waiting', cursor);
    await engine.start();
    await untilJobs('other', 2);
    expect(await engine.schedules.get('waiting')).toMatchObject({ nextTick: cursor, lastTick: null });
  });

  it('have missed the ticks between when the clock of the database is set forward', async () => {
    const engine = process();
    await engine.schedules.upsert('s', { every: '1d' }, { topic: 'report', missed: { policy: 'all', within: '100d' } });
    const { nextTick } = (await engine.schedules.get('s'))!;
    await setNextTick('s', new Date(nextTick!.getTime() - 3 * 86_400_000));
    await engine.start();
    await untilJobs('report', 3);
    expect(await engine.schedules.get('s')).toMatchObject({ nextTick });
    expect(await jobs()).toHaveLength(3);
  });

  it('give their options to their jobs, and their jitter to the time when the jobs are due', async () => {
    const engine = process();
    const named = { metadata: { a: 1 }, labels: ['team:reports'] };
    const options = { maxRetries: 7, priority: -5, timeout: '9s', jitter: '10m', ...named } as const;
    const backoff = { type: 'fixed', delay: '4s' } as const;
    await engine.schedules.upsert('a', EVERY_SECOND, { topic: 'report', ...options, backoff });
    await engine.schedules.upsert('b', EVERY_SECOND, { topic: 'report', jitter: '10m' });
    await engine.start();
    await untilJobs('report', 5);
    const delays: Record<string, Set<number>> = { a: new Set(), b: new Set() };
    const { items } = await engine.jobs.list();
    for (const { runAt, metadata } of items) {
      const { name, tick } = metadata!.$schedule as { name: string; tick: string };
      delays[name]!.add(runAt.getTime() - Date.parse(tick));
    }
    expect([delays.a!.size, delays.b!.size]).toEqual([1, 1]);
    expect(delays.a).not.toEqual(delays.b);
    for (const delay of [...delays.a!, ...delays.b!]) {
      expect(delay).toBeGreaterThanOrEqual(0);
      expect(delay).toBeLessThan(10 * MINUTE);
    }
    const job = items.find(({ priority }) => priority === -5);
    expect(job).toMatchObject({ maxRetries: 7, timeoutMs: 9_000, ...named });
    const labelled = (await engine.jobs.list({ label: 'team:reports' })).items;
    expect(labelled.map(({ priority }) => priority)).toEqual(labelled.map(() => -5));
    expect(labelled.length).toBeGreaterThanOrEqual(2);
  });

  it('cost no statement when there are none', async () => {
    const used: PropertyKey[] = [];
    const schedules = new Proxy(fixture.store.schedules, {
      get: (table, verb) => {
        used.push(verb);
        return Reflect.get(table, verb, table) as unknown;
      },
    });
    const engine = process(overrideStore(fixture.store, { schedules }));
    engine.register('report', () => null);
    await engine.start();
    await until(async () => (await fixture.sql('SELECT 1 FROM _jobs_workers')).length > 0, { message: 'presence' });
    const { id } = await engine.enqueue('report', null);
    await until(async () => (await fixture.job(id)).status === 'completed', { message: 'a job' });
    expect(used).toEqual([]);
  });

  it('that are paused do not fire, and catch nothing up', async () => {
    const engine = process();
    await engine.schedules.upsert('s', { every: '1h' }, { topic: 'report', missed: 'all' });
    await engine.schedules.pause('s');
    await fixture.sql(`UPDATE _jobs_schedules SET next_tick = '2020-01-01 00:00:00.000'`);
    await engine.start();
    await engine.schedules.resume('s');
    expect((await engine.schedules.get('s'))!.nextTick!.getTime()).toBeGreaterThan(Date.now() - MINUTE);
    await engine.schedules.resume('s');
    expect(await jobs()).toEqual([]);
  });

  it('run at once on request', async () => {
    const engine = process();
    await engine.schedules.upsert('s', { every: '1h' }, { topic: 'report', payload: 7, priority: -1 });
    const job = await engine.schedules.run('s');
    expect(job).toMatchObject({ topic: 'report', payload: 7, priority: -1, metadata: { $schedule: { name: 's' } } });
    expect(await engine.schedules.get('s')).toMatchObject({ lastTick: null });
  });

  it('keep their next tick when only the payload changes, and start again when the pattern changes', async () => {
    const engine = process();
    const first = await engine.schedules.upsert('s', { every: '1h' }, { topic: 'report' });
    const second = await engine.schedules.upsert('s', { every: '1h' }, { topic: 'report', payload: 1 });
    expect(second).toMatchObject({ revision: 2, nextTick: first.nextTick, payload: 1 });
    const third = await engine.schedules.upsert('s', { every: '1s' }, { topic: 'report', payload: 1 });
    expect(third.nextTick!.getTime()).toBeLessThan((await fixture.now()).getTime() + 2_000);
    expect((await engine.schedules.upsert('s', { every: '1s' }, { topic: 'report', payload: 1 })).revision).toBe(3);
  });

  it('have no operation for a name that does not exist', async () => {
    const engine = process();
    for (const action of ['pause', 'resume', 'remove', 'run', 'next'] as const) {
      await expect(engine.schedules[action]('none')).rejects.toThrow(ScheduleNotFoundError);
    }
    expect(await engine.schedules.get('none')).toBeNull();
  });

  it('from code cannot be changed or removed through the API while a process declares them', async () => {
    const engine = process();
    engine.declareSchedule('s', { every: '1h' }, { topic: 'report' });
    await engine.start();
    await until(async () => (await engine.schedules.list()).length === 1, { message: 'the declaration' });
    const other = process(kind.canHaveTwoConnections ? (await fixture.openAnother()).store : fixture.store);
    await expect(other.schedules.remove('s')).rejects.toThrow(ScheduleStateError);
    await expect(other.schedules.upsert('s', { every: '2h' }, { topic: 'report' })).rejects.toThrow(ScheduleStateError);
    await engine.close();
    await orphanDefinitions(fixture);
    await other.schedules.remove('s');
    expect(await other.schedules.list()).toEqual([]);
  });

  it('are refused when the schema of the topic rejects the payload', async () => {
    const Report = defineJob<{ a: number }>('report', { schema: rejecting });
    const engine = process();
    await expect(engine.schedules.upsert('s', { every: '1h' }, { topic: Report })).rejects.toThrow(InvalidPayloadError);
    engine.declareSchedule('s', { every: '1h' }, { topic: Report });
    await expect(engine.start()).rejects.toThrow(InvalidPayloadError);
  });

  it('are refused when a name is declared twice', () => {
    const engine = process();
    engine.declareSchedule('s', EVERY_SECOND);
    expect(() => engine.declareSchedule('s', EVERY_SECOND)).toThrow(InvalidOptionsError);
  });

  it('list at most a hundred of their next ticks', async () => {
    const { schedules } = process();
    await schedules.upsert('s', { every: '1h' }, { topic: 'report' });
    expect(await schedules.next('s')).toHaveLength(5);
    expect(await schedules.next('s', 100)).toHaveLength(100);
    for (const count of [0, 101, Infinity]) {
      await expect(schedules.next('s', count)).rejects.toThrow(InvalidOptionsError);
    }
  });

  it('list the next ticks of a pattern', () => {
    const from = new Date('2026-03-28T00:00:00Z');
    expect(process().schedules.preview('30 2 * * *', { tz: 'Europe/Berlin', from, count: 2 })).toEqual([
      new Date('2026-03-28T01:30:00Z'),
      new Date('2026-03-29T01:00:00Z'),
    ]);
  });

  if (kind.canHaveTwoConnections) {
    it('fire each tick once over several processes', async () => {
      const stores = [fixture.store, (await fixture.openAnother()).store, (await fixture.openAnother()).store];
      const processes = stores.map((store) => process(store));
      processes.forEach((engine) => {
        engine.declareSchedule('a', EVERY_SECOND, { topic: 'report' });
        engine.declareSchedule('b', EVERY_SECOND, { topic: 'report' });
      });
      await Promise.all(processes.map((engine) => engine.start()));
      await until(async () => (await jobs()).length >= 6, { message: 'three ticks of both' });
      const ticks = (await processes[0]!.jobs.list({ limit: 200 })).items.map(({ metadata }) => {
        const { name, tick } = metadata!.$schedule as { name: string; tick: string };
        return `${name} ${tick}`;
      });
      expect(new Set(ticks).size).toBe(ticks.length);
      const seconds = ticks
        .filter((tick) => tick.startsWith('a'))
        .map((tick) => Date.parse(tick.slice(2)) / 1_000)
        .sort();
      seconds.slice(1).forEach((second, index) => expect(second - seconds[index]!).toBe(1));
    });

    it('take the definition of the process that started last', async () => {
      const old = process();
      old.declareSchedule('s', { every: '1h' }, { topic: 'report', payload: 'old' });
      await old.start();
      await until(async () => (await old.schedules.list()).length === 1, { message: 'the declaration' });
      const fresh = process((await fixture.openAnother()).store);
      fresh.declareSchedule('s', { every: '1h' }, { topic: 'report', payload: 'new' });
      await fresh.start();
      await until(async () => (await old.schedules.get('s'))?.payload === 'new', { message: 'the new definition' });
      expect(await old.schedules.get('s')).toMatchObject({ revision: 2 });
      await fresh.schedules.run('s').then((job) => expect(job.payload).toBe('new'));
    });

    it('fire the pattern of the process that started last, in every process, without catching up', async () => {
      const old = process();
      old.declareSchedule('s', { every: '1h' }, { topic: 'report', missed: 'all' });
      await old.start();
      await until(async () => (await old.schedules.list()).length === 1, { message: 'the declaration' });
      await setNextTick('s', new Date((await fixture.now()).getTime() + 1_000_000));
      const startMs = (await fixture.now()).getTime();
      const fresh = process((await fixture.openAnother()).store);
      fresh.declareSchedule('s', EVERY_SECOND, { topic: 'report', missed: 'all' });
      await fresh.start();
      await untilJobs('report', 1);
      await fresh.close();
      const count = (await jobs()).length;
      // Without a notification the other process reads the change at the latest after 20 s.
      await untilJobs('report', count + 2, 30_000);
      expect(await old.schedules.get('s')).toMatchObject({ pattern: EVERY_SECOND, isDeclared: true });
      const ticks = (await old.jobs.list()).items.map(({ metadata }) =>
        Date.parse((metadata!.$schedule as { tick: string }).tick),
      );
      expect(new Set(ticks).size).toBe(ticks.length);
      expect(Math.min(...ticks)).toBeGreaterThan(startMs);
    });

    if (kind.hasNotifications) {
      it('that are created in another process fire at their first tick', async () => {
        const worker = process();
        await worker.start();
        await until(async () => (await fixture.sql('SELECT 1 FROM _jobs_workers')).length > 0, { message: 'presence' });
        const other = process((await fixture.openAnother()).store, { role: 'producer' });
        await other.schedules.upsert('s', EVERY_SECOND, { topic: 'report' });
        await until(async () => (await jobs()).length >= 1, { message: 'a job', timeoutMs: 5_000 });
      });
    }
  }
});

const rejecting = {
  '~standard': { version: 1, vendor: 'test', validate: () => ({ issues: [{ message: 'wrong' }] }) },
} as const;

/** The definition within a stored schedule. */
function definitionOf(stored: object): never {
  const members =
    'pattern tz topic payload missed overlap jitterMs startAt endAt maxRetries priority timeoutMs backoff metadata';
  return Object.fromEntries(members.split(' ').map((member) => [member, stored[member as never]])) as never;
}
