import type { Type } from '@nestjs/common';
import { GuideCode } from '../support/guide-code.js';
import { useApps } from './support/apps.js';
import { sqliteFile } from './support/database-kinds.js';
import type { TestApp } from './support/test-app.js';

const DAY_MS = 24 * 60 * 60_000;

/** The class of the guide, as it stands there. */
const classOfGuide = (): Type<object> => new GuideCode('guide/enqueueing.md').exportOf('DigestJobs');

describe('the recipe for recurring jobs in the guide', () => {
  const apps = useApps(sqliteFile);
  afterEach(() => jest.restoreAllMocks());

  async function start(now = '2030-01-27T05:00:00.000Z'): Promise<TestApp> {
    jest.spyOn(Date, 'now').mockReturnValue(Date.parse(now));
    return apps.start({ providers: [classOfGuide()] });
  }

  /** When the jobs that wait are due, the next one first. */
  async function dueTimes(app: TestApp): Promise<string[]> {
    const { items } = await app.jobs.list({ topic: 'daily_digest', status: 'pending' });
    return items.map(({ runAt }) => runAt.toISOString()).sort();
  }

  it.each([
    ['2030-01-27T05:00:00.000Z', '2030-01-27T06:00:00.000Z'],
    ['2030-01-27T06:00:00.000Z', '2030-01-28T06:00:00.000Z'],
    ['2030-01-31T23:00:00.000Z', '2030-02-01T06:00:00.000Z'],
  ])('begins, when it is %s, with the job of %s', async (now, due) => {
    expect(await dueTimes(await start(now))).toEqual([due]);
  });

  it('goes on when a job runs before its time', async () => {
    const app = await start();
    const { items } = await app.jobs.list({ topic: 'daily_digest' });
    const [first] = await dueTimes(app);
    await app.jobs.cancel(items[0]!.id);
    await app.jobs.requeue(items[0]!.id);
    await app.jobs.whenIdle();
    expect(await dueTimes(app)).toEqual([new Date(Date.parse(first!) + DAY_MS).toISOString()]);
  });

  it('makes one job of what all processes and all retries enqueue', async () => {
    await (await start()).close();
    expect(await dueTimes(await start())).toHaveLength(1);
  });
});
