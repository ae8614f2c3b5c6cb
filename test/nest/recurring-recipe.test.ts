import type { Type } from '@nestjs/common';
import { GuideCode } from '../support/guide-code.js';
import { useApps } from './support/apps.js';
import { sqliteFile } from './support/database-kinds.js';
import type { TestApp } from './support/test-app.js';

const DAY_MS = 24 * 60 * 60_000;

/** Loads the class from the guide. */
const loadDigestJobs = (): Type<object> => new GuideCode('guide/recipes.md').exportOf('DigestJobs');

describe('the recurring job of the guide', () => {
  const apps = useApps(sqliteFile);
  afterEach(() => jest.restoreAllMocks());

  async function start(now = '2030-01-27T05:00:00.000Z'): Promise<TestApp> {
    jest.spyOn(Date, 'now').mockReturnValue(Date.parse(now));
    return apps.start({ providers: [loadDigestJobs()] });
  }

  /** Returns the due times of the pending jobs in order. */
  async function readDueTimes(app: TestApp): Promise<string[]> {
    const { items } = await app.jobs.list({ topic: 'daily_digest', status: 'pending' });
    return items.map(({ runAt }) => runAt.toISOString()).sort();
  }

  it.each([
    ['2030-01-27T05:00:00.000Z', '2030-01-27T06:00:00.000Z'],
    ['2030-01-27T06:00:00.000Z', '2030-01-28T06:00:00.000Z'],
    ['2030-01-31T23:00:00.000Z', '2030-02-01T06:00:00.000Z'],
  ])('starts at %s with the job of %s', async (now, due) => {
    expect(await readDueTimes(await start(now))).toEqual([due]);
  });

  it('enqueues its next run when a job runs early', async () => {
    const app = await start();
    const { items } = await app.jobs.list({ topic: 'daily_digest' });
    const [first] = await readDueTimes(app);
    await app.jobs.cancel(items[0]!.id);
    await app.jobs.requeue(items[0]!.id);
    await app.jobs.whenIdle();
    expect(await readDueTimes(app)).toEqual([new Date(Date.parse(first!) + DAY_MS).toISOString()]);
  });

  it('is enqueued once, however many processes and retries enqueue it', async () => {
    await (await start()).close();
    expect(await readDueTimes(await start())).toHaveLength(1);
  });
});
