/**
 * @matrix postgres-18
 * @never postgres-15, memory
 * @slow
 */

import type { JobsLogger } from 'nestjs-jobs';
import { JobsEngine, QueueUnavailableError } from 'nestjs-jobs';
import { readSchedule } from '../../../lib/core/schedule.js';
import { toDefinition } from '../../../lib/store/definitions/definition-records.js';
import type { JobStore } from '../../../lib/store/job-store.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { until } from '../../support/wait.js';

const EVERY_SECOND = '* * * * * *';
const MINUTE = 60_000;

/** A logger that keeps the errors. */
const toText = (message: unknown): string => (typeof message === 'string' ? message : JSON.stringify(message));

function createLog(): JobsLogger & { errors: string[]; logs: string[] } {
  const errors: string[] = [];
  const logs: string[] = [];
  const ignore = (): void => undefined;
  return {
    errors,
    logs,
    error: (message) => void errors.push(toText(message)),
    log: (message) => void logs.push(toText(message)),
    warn: ignore,
    debug: ignore,
  };
}

describe.each(storeKinds())('schedules with faults on $label', (kind) => {
  const fixture = useStore(kind);
  const engines: JobsEngine[] = [];
  const isPostgres = kind.locksRows;

  beforeEach(() => fixture.sql('DELETE FROM _jobs_schedules'));
  afterEach(async () => {
    await Promise.all(engines.splice(0).map((engine) => engine.close()));
    jest.restoreAllMocks();
  });

  function process(logger?: JobsLogger, store: JobStore = fixture.store): JobsEngine {
    const engine = new JobsEngine({ store, ...(logger && { logger }) });
    engines.push(engine);
    return engine;
  }

  const count = async (topic: string): Promise<number> =>
    (await fixture.sql(`SELECT id FROM _jobs WHERE topic = '${topic}'`)).length;
  const untilJobs = (topic: string, least: number): Promise<unknown> =>
    until(async () => (await count(topic)) >= least, { message: `${least} jobs of ${topic}` });
  const text = (moment: Date): string =>
    moment
      .toISOString()
      .replace('T', ' ')
      .replace('Z', isPostgres ? '+00' : '');
  const moveCursor = (name: string, moment: Date): Promise<unknown> =>
    fixture.sql(`UPDATE _jobs_schedules SET next_tick = '${text(moment)}' WHERE name = '${name}'`);

  it('keep firing beside rows that are invalid, which are logged once each', async () => {
    const invalid: Readonly<Record<string, string>> = {
      empty: '{}',
      'no-object': '5',
      'unknown-pattern': definitionText({ pattern: '{"rrule":"FREQ=DAILY"}' }),
      'invalid-pattern': definitionText({ pattern: '* * * * * nope' }),
      'interval-0': definitionText({ pattern: '{"every":0,"anchor":0}' }),
      'unknown-zone': definitionText({ tz: 'Mars/Olympus' }),
      'invalid-start': definitionText({ startAt: 'soon' as never }),
      'empty-topic': definitionText({ topic: '' }),
    };
    const names = Object.keys(invalid).sort();
    const log = createLog();
    const engine = process(log);
    await engine.schedules.upsert('good', EVERY_SECOND, { topic: 'good' });
    for (const name of names) {
      await engine.schedules.upsert(name, EVERY_SECOND, { topic: name });
      await fixture.sql(`UPDATE _jobs_schedules SET definition = '${invalid[name]!}' WHERE name = '${name}'`);
    }
    await engine.start();
    await until(() => log.errors.length >= names.length, { message: 'a line for each' });
    await untilJobs('good', (await count('good')) + 2);
    expect(new Set((await engine.jobs.list()).items.map(({ topic }) => topic))).toEqual(new Set(['good']));
    expect(log.errors.sort()).toEqual(names.map((name) => expect.stringContaining(`schedule '${name}'`) as string));
    expect((await engine.schedules.list()).map(({ name }) => name).sort()).toEqual([...names, 'good'].sort());
    for (const name of names) {
      await engine.schedules.upsert(name, EVERY_SECOND, { topic: name });
    }
    for (const name of names) {
      await untilJobs(name, 1);
      await until(() => log.logs.includes(`schedule '${name}': recovered`), { message: `the recovery of ${name}` });
    }
  });

  it('keep firing beside a schedule whose jobs the database refuses', async () => {
    await refuseTopic();
    try {
      const log = createLog();
      const engine = process(log);
      for (const topic of ['refused', 'a', 'b', 'z']) {
        await engine.schedules.upsert(topic, EVERY_SECOND, { topic });
      }
      await engine.start();
      for (const topic of ['a', 'b', 'z']) {
        await untilJobs(topic, 2);
      }
      expect(log.errors).toEqual([expect.stringContaining(`schedule 'refused'`)]);
      expect(await count('refused')).toBe(0);
    } finally {
      await acceptTopic();
    }
  });

  it('fire ticks that were refused once the database accepts them', async () => {
    await refuseTopic();
    const log = createLog();
    const engine = process(log);
    await engine.schedules.upsert('s', EVERY_SECOND, { topic: 'refused', missed: 'all' });
    await engine.start();
    await until(() => log.errors.length > 0, { message: 'a refusal' });
    await acceptTopic();
    await untilJobs('refused', 2);
    expect(log.logs).toContain(`schedule 's': recovered`);
  });

  it('store at most a thousand jobs in one statement', async () => {
    const engine = process();
    const names = Array.from({ length: 15 }, (_, index) => `s${index}`);
    for (const name of names) {
      await engine.schedules.upsert(name, { every: '1s' }, { topic: 'many', missed: { policy: 'all', max: 300 } });
      await moveCursor(name, new Date(Date.now() - 10 * MINUTE));
    }
    const fire = jest.spyOn(fixture.store.schedules, 'fire');
    await engine.start();
    await untilJobs('many', 15 * 300);
    const sizes = fire.mock.calls.map(([firings]) => firings.flatMap(({ jobs }) => jobs).length);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(1_000);
  });

  it('catch up more ticks than a statement may hold, in order and without a gap', async () => {
    const engine = process();
    await engine.schedules.upsert('s', { every: '1s' }, { topic: 'many', missed: { policy: 'all', max: 1_000 } });
    await moveCursor('s', new Date(Date.now() - 30 * MINUTE));
    await engine.start();
    await until(async () => (await engine.schedules.get('s'))!.nextTick!.getTime() > Date.now() - 1_000, {
      message: 'all ticks',
    });
    const ticks = (await fixture.sql<{ id: string }>(`SELECT id FROM _jobs ORDER BY id`)).map(({ id }) =>
      parseInt(id.replace('-', '').slice(0, 12), 16),
    );
    expect(ticks.length).toBeGreaterThanOrEqual(1_000);
    ticks.slice(1).forEach((tick, index) => expect(tick - ticks[index]!).toBe(1_000));
  });

  it('of this process are declared again when their row was removed, and others keep their definition', async () => {
    const engine = process();
    engine.declareSchedule('a', { every: '1h' }, { topic: 'a', payload: 'old' });
    engine.declareSchedule('b', EVERY_SECOND, { topic: 'b' });
    await engine.start();
    await untilJobs('b', 1);
    // Another process declares a newer definition.
    const changed = readSchedule({ every: '1h' }, { topic: 'a', payload: 'new' });
    await fixture.store.definitions.declare([toDefinition('schedule', 'a', changed)]);
    await until(async () => (await engine.schedules.get('a'))?.payload === 'new', { message: 'the new definition' });
    const put = jest.spyOn(fixture.store.schedules, 'put').mockRejectedValueOnce(new Error('lost'));
    await fixture.sql(`DELETE FROM _jobs_schedules WHERE name = 'b'`);
    const before = await count('b');
    await until(async () => (await count('b')) >= before + 2, { message: 'two more jobs' });
    expect(put.mock.calls.map(([{ name }]) => name)).toEqual(['b', 'b']);
    expect(await engine.schedules.get('a')).toMatchObject({ payload: 'new' });
  });

  it('keep a tick that is due when startAt or endAt changes', async () => {
    const engine = process();
    await engine.schedules.upsert('s', { every: '1h' }, { topic: 't' });
    const due = new Date(Math.floor(Date.now() / (60 * MINUTE)) * 60 * MINUTE);
    await moveCursor('s', due);
    const changed = await engine.schedules.upsert('s', { every: '1h' }, { topic: 't', endAt: new Date('2100-01-01') });
    expect(changed.nextTick).toEqual(due);
  });

  it('repeat a change of the pattern when a tick fires during it, and fire no tick twice', async () => {
    const engine = process();
    const { schedules } = fixture.store;
    await engine.schedules.upsert('s', EVERY_SECOND, { topic: 't' });
    const { nextTick } = (await engine.schedules.get('s'))!;
    await until(async () => (await fixture.now()) >= nextTick!, { message: 'the tick' });
    const put = schedules.put.bind(schedules);
    jest.spyOn(schedules, 'put').mockImplementationOnce(async (change) => {
      // Another process fires the tick after this one has read the table.
      const next = new Date(nextTick!.getTime() + 1_000);
      await schedules.fire([{ name: 's', revision: 1, cursor: nextTick!, next, tick: nextTick, jobs: [] }]);
      return put({ ...change, nextTick });
    });
    const changed = await engine.schedules.upsert('s', { every: '1s' }, { topic: 't' });
    expect(changed.nextTick!.getTime()).toBeGreaterThan(nextTick!.getTime());
  });

  it("fire with overlap 'skip' after the last job was deleted, and once for several due ticks", async () => {
    const engine = process();
    await engine.schedules.upsert('s', { every: '1s' }, { topic: 't', overlap: 'skip' });
    await moveCursor('s', new Date(Date.now() - 5_000));
    await engine.start();
    await untilJobs('t', 1);
    const { lastJobId } = (await engine.schedules.get('s'))!;
    await until(async () => (await engine.schedules.get('s'))!.nextTick!.getTime() > Date.now(), { message: 'a skip' });
    expect(await count('t')).toBe(1);
    await engine.jobs.delete(lastJobId!);
    await untilJobs('t', 1);
  });

  it('with a jitter longer than their interval add one job for each tick', async () => {
    const engine = process();
    await engine.schedules.upsert('s', { every: '1s' }, { topic: 't', jitter: '1h' });
    await engine.start();
    await untilJobs('t', 2);
    const jobs = (await engine.jobs.list()).items;
    const delays = jobs.map(
      ({ runAt, metadata }) => runAt.getTime() - Date.parse((metadata!.$schedule as { tick: string }).tick),
    );
    expect(new Set(delays).size).toBe(1);
  });

  it('fire ticks that came during an outage of the database', async () => {
    const engine = process();
    await engine.schedules.upsert('s', { every: '1s' }, { topic: 't' });
    await engine.start();
    await untilJobs('t', 1);
    const { schedules } = fixture.store;
    const fire = jest.spyOn(schedules, 'fire').mockRejectedValue(new QueueUnavailableError('away'));
    const list = jest.spyOn(schedules, 'list').mockRejectedValue(new QueueUnavailableError('away'));
    await until(() => fire.mock.calls.length + list.mock.calls.length >= 3, { message: 'three failures' });
    fire.mockRestore();
    list.mockRestore();
    await untilJobs('t', 4);
    const seconds = (await fixture.sql<{ id: string }>(`SELECT id FROM _jobs ORDER BY id`)).map(({ id }) =>
      parseInt(id.replace('-', '').slice(0, 12), 16),
    );
    seconds.slice(1).forEach((second, index) => expect(second - seconds[index]!).toBe(1_000));
  });

  if (kind.canHaveTwoConnections) {
    it('do not read or fire in a loop while another transaction locks a schedule', async () => {
      const engine = process();
      for (const name of ['free', 'locked']) {
        await engine.schedules.upsert(name, EVERY_SECOND, { topic: name });
      }
      const other = await fixture.openAnother();
      const transaction = await fixture.begin(other.app);
      await transaction.manager.query(`UPDATE _jobs_schedules SET updated = updated WHERE name = 'locked'`);
      const list = jest.spyOn(fixture.store.schedules, 'list');
      const fire = jest.spyOn(fixture.store.schedules, 'fire');
      await engine.start();
      const startedMs = Date.now();
      if (isPostgres) {
        await untilJobs('free', 3);
      } else {
        await until(() => Date.now() - startedMs > 2_000, { message: 'two ticks' });
      }
      expect(await count('locked')).toBe(0);
      const seconds = (Date.now() - startedMs) / 1_000;
      expect((list.mock.calls.length + fire.mock.calls.length) / (seconds + 1)).toBeLessThan(20);
      await transaction.rollback();
      await untilJobs('locked', 3);
      await untilJobs('free', 3);
    });
  }

  async function refuseTopic(): Promise<void> {
    if (isPostgres) {
      await fixture.sql(
        `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$`,
      );
      await fixture.sql(
        `CREATE TRIGGER refuse BEFORE INSERT ON _jobs FOR EACH ROW WHEN (NEW.topic = 'refused') EXECUTE FUNCTION refuse()`,
      );
    } else {
      await fixture.sql(
        `CREATE TRIGGER refuse BEFORE INSERT ON _jobs WHEN NEW.topic = 'refused' BEGIN SELECT RAISE(ABORT, 'refused'); END`,
      );
    }
  }

  async function acceptTopic(): Promise<void> {
    await fixture.sql(isPostgres ? 'DROP TRIGGER refuse ON _jobs' : 'DROP TRIGGER refuse');
    if (isPostgres) {
      await fixture.sql('DROP FUNCTION refuse');
    }
  }
});

function definitionText(members: object): string {
  return JSON.stringify({ ...readSchedule(EVERY_SECOND, { topic: 'bad' }), ...members });
}
