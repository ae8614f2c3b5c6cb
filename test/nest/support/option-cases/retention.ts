import { until } from '../../../support/wait.js';
import type { Job, JobsModuleOptions } from 'nestjs-jobs';
import { UnrecoverableError } from 'nestjs-jobs';
import type { Apps } from '../apps.js';
import { everyKind, sharedKinds } from '../database-kinds.js';
import type { TestApp } from '../test-app.js';
import type { OptionCase } from './option-case.js';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const finalStatuses = ['completed', 'cancelled', 'failed'] as const;
type FinalStatus = (typeof finalStatuses)[number];

/** How long finished jobs are kept. */
export const retentionCases: readonly OptionCase[] = [
  ...finalStatuses.flatMap(casesOf),
  {
    option: 'retention',
    effect: 'defaults to 7 days for completed and cancelled jobs and 30 days for failed jobs',
    kinds: sharedKinds,
    expectEffect: expectDefaultAges,
  },
  {
    option: 'retention',
    effect: 'as one duration applies to every status, and as false keeps all jobs',
    kinds: sharedKinds,
    expectEffect: expectOneAgeForAll,
  },
];

/** The same option of a handler. */
export const topicRetentionCases: readonly OptionCase[] = [
  {
    option: 'retention',
    effect: 'overrides the module, longer and shorter, in a process without the handler too',
    kinds: sharedKinds,
    expectEffect: expectTopicAges,
  },
  {
    option: 'retention',
    effect: 'of 0 deletes jobs as they end, and of false keeps them whatever the module deletes',
    kinds: sharedKinds,
    expectEffect: expectTopicRemovalAtOnce,
  },
];

function casesOf(status: FinalStatus): OptionCase[] {
  const option = `retention.${status}`;
  return [
    {
      option,
      effect: `0 deletes ${status} jobs as they end, and no others`,
      kinds: everyKind,
      expectEffect: (apps) => expectRemovalAtOnce(apps, status),
    },
    {
      option,
      effect: `deletes ${status} jobs of a higher age and keeps younger ones`,
      kinds: sharedKinds,
      expectEffect: (apps) => expectRemovalByAge(apps, status),
    },
    {
      option,
      effect: `false keeps ${status} jobs forever`,
      kinds: sharedKinds,
      expectEffect: (apps) => expectNoRemoval(apps, status),
    },
  ];
}

async function expectRemovalAtOnce(apps: Apps, status: FinalStatus): Promise<void> {
  const app = await apps.start({
    options: { retention: { [status]: 0 } },
    handlers: {
      complete: () => 'done',
      fail: () => {
        throw new UnrecoverableError('no');
      },
    },
  });
  const ended = await endOneOfEach(app);
  await until(async () => (await app.jobs.get(ended[status].id)) === null, { message: `no ${status} job` });
  for (const other of finalStatuses.filter((each) => each !== status)) {
    expect(await app.job(ended[other].id)).toMatchObject({ status: other });
  }
}

async function expectRemovalByAge(apps: Apps, status: FinalStatus): Promise<void> {
  const ages = [90 * MINUTE, 30 * MINUTE];
  await leaveBehind(apps, ages);
  const expected = finalStatuses.flatMap((each) =>
    (each === status ? [30 * MINUTE] : ages).map((age): [string, number] => [each, age]),
  );
  await expectLeft(apps, { [status]: '1h' }, expected);
}

/** Expects that jobs older than the defaults are deleted, except in this status. */
async function expectNoRemoval(apps: Apps, status: FinalStatus): Promise<void> {
  await leaveBehind(apps, [1_000 * DAY]);
  await expectLeft(apps, { [status]: false }, [[status, 1_000 * DAY]]);
}

async function expectDefaultAges(apps: Apps): Promise<void> {
  await leaveBehind(apps, [31 * DAY, 29 * DAY, 8 * DAY, 6 * DAY]);
  await expectLeft(apps, undefined, [
    ['completed', 6 * DAY],
    ['cancelled', 6 * DAY],
    ['failed', 29 * DAY],
    ['failed', 8 * DAY],
    ['failed', 6 * DAY],
  ]);
}

async function expectOneAgeForAll(apps: Apps): Promise<void> {
  await leaveBehind(apps, [2 * DAY, MINUTE]);
  const kept: [string, number][] = finalStatuses.map((status) => [status, MINUTE]);
  await expectLeft(apps, '1d', kept);
  await leaveBehind(apps, [1_000 * DAY]);
  const app = await apps.start({ options: { retention: false }, handlers: { work: () => null } });
  const { id } = await app.jobs.enqueue('work', null);
  await app.event('completed', id);
  expect((await left(app)).filter(([, age]) => age === 1_000 * DAY)).toHaveLength(3);
}

async function expectTopicAges(apps: Apps): Promise<void> {
  const ages = [90 * MINUTE, 30 * MINUTE];
  for (const topic of ['kept', 'short', 'other']) {
    await leaveBehind(apps, ages, topic);
  }
  const app = await apps.start({
    options: { retention: '1h' },
    handlers: { kept: [() => null, { retention: '1d' }], short: [() => null, { retention: { failed: '10m' } }] },
  });
  await until(async () => (await app.rows.count()) <= 11, { message: 'old jobs to be removed' });
  const byTopic = async (topic: string) =>
    (await app.rows.find({ where: { topic } })).map(({ status }) => status).sort();
  expect(await byTopic('kept')).toEqual(['cancelled', 'cancelled', 'completed', 'completed', 'failed', 'failed']);
  expect(await byTopic('short')).toEqual(['cancelled', 'completed']);
  expect(await byTopic('other')).toEqual([...finalStatuses].sort());
  await app.close();
  const other = await apps.start({ options: { retention: '1m' } });
  await until(async () => (await other.rows.count()) <= 6, { message: 'jobs of other topics to be removed' });
  expect((await other.rows.find()).map(({ topic }) => topic)).toEqual(Array.from({ length: 6 }, () => 'kept'));
}

async function expectTopicRemovalAtOnce(apps: Apps): Promise<void> {
  const app = await apps.start({
    options: { retention: { completed: 0 } },
    handlers: { kept: [() => null, { retention: false }], brief: [() => null, { retention: 0 }], work: () => null },
  });
  const topics = ['kept', 'brief', 'work'];
  const jobs = await app.jobs.enqueueMany(topics.map((topic) => ({ topic, payload: null, delay: 1 })));
  await Promise.all(jobs.map(({ id }) => app.event('completed', id)));
  expect((await app.rows.find()).map(({ topic }) => topic)).toEqual(['kept']);
}

/** Stores finished jobs of each status and age, as a stopped application would leave them. */
async function leaveBehind(apps: Apps, agesMs: readonly number[], topic = 'old'): Promise<void> {
  const app = await apps.start({ options: { role: 'producer' } });
  const rows = finalStatuses.flatMap((status) => agesMs.map((age) => ({ status, age })));
  const jobs = await app.jobs.enqueueMany(rows.map(() => ({ topic, payload: null })));
  for (const [index, { status, age }] of rows.entries()) {
    const then = new Date(Date.now() - age);
    await app.rows.update({ id: jobs[index]!.id }, { status, finished: then, created: then, metadata: { age } });
  }
  await app.close();
}

/** Returns the status and age of each job. */
async function left(app: TestApp): Promise<[string, unknown][]> {
  const jobs = await app.rows.find({ order: { id: 'ASC' } });
  return jobs.map(({ status, metadata }) => [status, metadata?.age]);
}

/** Expects that a running application keeps exactly these jobs. */
async function expectLeft(apps: Apps, retention: JobsModuleOptions['retention'], expected: [string, number][]) {
  const app = await apps.start({ options: { retention } });
  await until(async () => (await left(app)).length <= expected.length, { message: 'old jobs to be removed' });
  expect(await left(app)).toEqual(expected);
}

/** Returns one finished job of each status. */
async function endOneOfEach(app: TestApp): Promise<Record<FinalStatus, Job>> {
  const [completed, cancelled, failed] = await app.jobs.enqueueMany(
    ['complete', 'wait', 'fail'].map((topic) => ({ topic, payload: null, delay: 1 })),
  );
  await app.jobs.cancel(cancelled!.id);
  await Promise.all([app.event('completed', completed!.id), app.event('failed', failed!.id)]);
  return { completed: completed!, cancelled: cancelled!, failed: failed! };
}
