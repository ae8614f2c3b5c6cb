import type { ScheduleOptions } from '../../../lib/core/schedule.js';
import { readSchedule } from '../../../lib/core/schedule.js';
import { toTickJobId } from '../../../lib/engine/schedules/tick-job.js';
import { toDefinition } from '../../../lib/store/definitions/definition-records.js';
import type { ScheduleFiring, StoredSchedule } from '../../../lib/store/schedules/schedule-records.js';
import type { ScheduleStore } from '../../../lib/store/job-store.js';
import { orphanDefinitions } from '../../support/declared.js';
import { claim, newJob, TOPIC, WORKER_DETAILS } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';

const definition = (options: ScheduleOptions = {}) => readSchedule({ every: '1m' }, { topic: TOPIC, ...options });

/** A moment in the past, on a whole second. */
const past = (secondsAgo: number): Date => new Date((Math.floor(Date.now() / 1_000) - secondsAgo) * 1_000);
const LATER = new Date(Date.now() + 3_600_000);

describe.each(storeKinds())('the table of schedules on $label', (kind) => {
  const fixture = useStore(kind);
  beforeEach(() => fixture.sql('DELETE FROM _jobs_schedules'));

  const table = (): ScheduleStore => fixture.store.schedules;
  const find = async (name = 'nightly'): Promise<StoredSchedule> =>
    (await table().list()).schedules.find((schedule) => schedule.name === name)!;

  /** Adds a schedule whose next tick is due. */
  async function addDue(tick: Date, options?: ScheduleOptions, name = 'nightly'): Promise<StoredSchedule> {
    await table().put({ name, definition: definition(options), source: 'api', revision: null, nextTick: tick });
    return find(name);
  }

  function firing(schedule: StoredSchedule, members: Partial<ScheduleFiring> = {}): ScheduleFiring {
    const tick = schedule.nextTick!;
    return {
      name: schedule.name,
      revision: schedule.revision,
      cursor: tick,
      next: LATER,
      tick,
      jobs: [newJob({ id: toTickJobId(schedule.name, tick), runAt: tick })],
      ...members,
    };
  }

  const countJobs = async (): Promise<number> => (await fixture.sql('SELECT id FROM _jobs')).length;

  it('returns what was put, and the database time', async () => {
    const tick = past(-60);
    const added = await addDue(tick, { payload: { a: [1, null] }, metadata: { b: 2 } });
    expect(added).toMatchObject({
      ...definition({ payload: { a: [1, null] }, metadata: { b: 2 } }),
      name: 'nightly',
      source: 'api',
      revision: 1,
      nextTick: tick,
      lastTick: null,
      lastJobId: null,
      pausedSince: null,
      isDeclared: true,
    });
    const { now } = await table().list();
    expect(Math.abs(now.getTime() - Date.now())).toBeLessThan(60_000);
  });

  it('inserts a job and moves the cursor when a tick fires', async () => {
    const schedule = await addDue(past(1));
    const [fired, ...others] = await table().fire([firing(schedule)]);
    expect(others).toEqual([]);
    expect(fired).toMatchObject({ name: 'nightly', inserted: [{ id: toTickJobId('nightly', schedule.nextTick!) }] });
    expect(await find()).toMatchObject({
      nextTick: LATER,
      lastTick: schedule.nextTick,
      lastJobId: fired!.inserted[0]!.id,
      revision: 1,
    });
    expect(await claim(fixture.store)).toMatchObject([{ id: fired!.inserted[0]!.id, runAt: schedule.nextTick }]);
  });

  it('fires a tick once, in whichever process', async () => {
    const schedule = await addDue(past(1));
    const results = await Promise.all([1, 2, 3].map(() => table().fire([firing(schedule)])));
    expect(results.flat()).toHaveLength(1);
    expect(await countJobs()).toBe(1);
  });

  it('inserts no second job for a tick when the cursor was set back', async () => {
    const schedule = await addDue(past(1));
    await table().fire([firing(schedule)]);
    await table().put({
      name: 'nightly',
      definition: definition(),
      source: 'api',
      revision: 1,
      nextTick: schedule.nextTick,
    });
    const again = await table().fire([firing({ ...schedule, revision: 2 })]);
    expect(again).toEqual([{ name: 'nightly', inserted: [] }]);
    expect(await countJobs()).toBe(1);
  });

  it('fires several ticks of a schedule at once', async () => {
    const schedule = await addDue(past(3));
    const ticks = [3, 2, 1].map(past);
    const jobs = ticks.map((tick) => newJob({ id: toTickJobId('nightly', tick), runAt: tick }));
    const [fired] = await table().fire([firing(schedule, { jobs, tick: ticks[2]! })]);
    expect(fired!.inserted.map(({ id }) => id)).toEqual(jobs.map(({ id }) => id));
    expect(await find()).toMatchObject({ lastTick: ticks[2], lastJobId: jobs[2]!.id });
  });

  it.each<[string, Partial<ScheduleFiring>]>([
    ['has changed', { revision: 7 }],
    ['has another cursor', { cursor: past(99) }],
  ])('fires nothing when the schedule %s', async (_, members) => {
    const schedule = await addDue(past(1));
    expect(await table().fire([firing(schedule, members)])).toEqual([]);
    expect(await countJobs()).toBe(0);
  });

  it('fires nothing before the tick, by the clock of the database', async () => {
    const schedule = await addDue(past(-60));
    expect(await table().fire([firing(schedule)])).toEqual([]);
  });

  it('fires nothing while the schedule is paused', async () => {
    const schedule = await addDue(past(1));
    await table().pause('nightly');
    const paused = await find();
    expect(paused.pausedSince).not.toBeNull();
    expect(paused.revision).toBe(2);
    expect(await table().fire([firing(schedule), firing(paused)])).toEqual([]);
    expect(await table().resume('nightly', 1, LATER)).toBe(false);
    expect(await table().resume('nightly', 2, LATER)).toBe(true);
    expect(await find()).toMatchObject({ pausedSince: null, nextTick: LATER, revision: 3 });
  });

  it("adds no job with overlap 'skip' while the previous job is unfinished", async () => {
    const schedule = await addDue(past(2), { overlap: 'skip' });
    await table().fire([firing(schedule, { next: past(1) })]);
    const second = await find();
    expect(await table().fire([firing(second)])).toEqual([{ name: 'nightly', inserted: [] }]);
    expect(await find()).toMatchObject({ nextTick: LATER, lastTick: schedule.nextTick });
    await fixture.store.cancel([toTickJobId('nightly', schedule.nextTick!)]);
    await table().put({
      name: 'nightly',
      definition: definition({ overlap: 'skip' }),
      source: 'api',
      revision: 1,
      nextTick: past(1),
    });
    const [fired] = await table().fire([firing(await find())]);
    expect(fired!.inserted).toHaveLength(1);
  });

  it('changes and removes a schedule only in the revision that was read', async () => {
    const { nextTick } = await addDue(past(1));
    const change = { name: 'nightly', definition: definition({ payload: 2 }), source: 'api' as const };
    expect(await table().put({ ...change, revision: null, nextTick: LATER })).toBe(false);
    expect(await table().put({ ...change, revision: 2, nextTick: LATER })).toBe(false);
    expect(await table().put({ ...change, revision: 1, nextTick: undefined })).toBe(true);
    expect(await find()).toMatchObject({ payload: 2, revision: 2, nextTick });
    expect(await table().remove('nightly', 1)).toBe(false);
    expect(await table().remove('nightly', 2)).toBe(true);
    expect(await find()).toBeUndefined();
  });

  it('shows how many live processes declare a schedule from code', async () => {
    await table().put({ name: 'nightly', definition: definition(), source: 'code', revision: null, nextTick: LATER });
    expect(await find()).toMatchObject({ isDeclared: false, liveDefinitions: 0 });
    const [one, other] = [1, 2].map((payload) => toDefinition('schedule', 'nightly', definition({ payload })));
    await fixture.store.definitions.declare([one!]);
    expect(await find()).toMatchObject({ isDeclared: true, liveDefinitions: 1 });
    await fixture.store.definitions.declare([one!, other!]);
    expect(await find()).toMatchObject({ isDeclared: true, liveDefinitions: 2 });
    await orphanDefinitions(fixture);
    expect(await find()).toMatchObject({ isDeclared: false, liveDefinitions: 0 });
  });

  it('returns another version after each change, and none for a tick', async () => {
    const version = async (): Promise<string> =>
      (await fixture.store.reports.recordWorker('w', [], WORKER_DETAILS)).schedulesVersion;
    expect(await version()).toBe('');
    const schedule = await addDue(past(1));
    const added = await version();
    await table().fire([firing(schedule)]);
    expect(await version()).toBe(added);
    await table().pause('nightly');
    expect(await version()).not.toBe(added);
    await table().remove('nightly', 2);
    expect(await version()).toBe('');
  });

  it('fires a thousand schedules in one statement, in any order', async () => {
    const tick = past(1);
    const names = Array.from({ length: 1_000 }, (_, index) => `s${(index * 7) % 1_000}`);
    for (const name of names) {
      await table().put({ name, definition: definition(), source: 'api', revision: null, nextTick: tick });
    }
    const all = (await table().list()).schedules;
    const forward = all.map((schedule) => firing(schedule));
    const results = await Promise.all([table().fire(forward), table().fire([...forward].reverse())]);
    expect(results.flat().flatMap(({ inserted }) => inserted)).toHaveLength(1_000);
    expect(await countJobs()).toBe(1_000);
  });
});
