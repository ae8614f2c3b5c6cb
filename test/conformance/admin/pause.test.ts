import type { WaitingLane } from '../../../lib/store/jobs/job-records.js';
import { toFullGap } from '../../../lib/store/jobs/job-records.js';
import { CLAIM } from '../../../lib/store/jobs/claim.sqlite.js';
import { claim, insertMany, insertOne, lane, TOPIC } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { until } from '../../support/wait.js';

describe.each(storeKinds())('a paused topic on $label', (kind) => {
  const fixture = useStore(kind);

  afterEach(() => fixture.sql('DELETE FROM _jobs_topics'));

  const scan = async (): Promise<readonly WaitingLane[]> => {
    const lane = { topic: TOPIC, priority: 0, lowerBound: null };
    const { waiting } = await fixture.store.scan([TOPIC, 'sms'].map(toFullGap), [lane]);
    return waiting;
  };

  it('is not claimed, and other topics are', async () => {
    await insertMany(fixture.store, 3);
    const other = await insertOne(fixture.store, { topic: 'sms' });
    await fixture.store.pauses.pause([TOPIC]);
    expect(await claim(fixture.store)).toEqual([]);
    expect((await claim(fixture.store, { lanes: [lane(), lane({ topic: 'sms' })] })).map(({ id }) => id)).toEqual([
      other,
    ]);
  });

  it('is claimed again after it is resumed', async () => {
    const ids = await insertMany(fixture.store, 3);
    await fixture.store.pauses.pause([TOPIC, 'sms']);
    await fixture.store.pauses.resume([TOPIC]);
    expect((await claim(fixture.store)).map(({ id }) => id).sort()).toEqual(ids.sort());
    expect(await fixture.store.pauses.list()).toMatchObject([{ topic: 'sms' }]);
  });

  if (!kind.locksRows && kind.canHaveTwoConnections) {
    it('is not read under the write lock', async () => {
      await insertMany(fixture.store, 3);
      await fixture.store.pauses.pause([TOPIC]);
      const holder = fixture.app.createQueryRunner();
      await holder.query('BEGIN IMMEDIATE');
      const claims = await claim(fixture.store).finally(() => holder.query('ROLLBACK'));
      expect(claims).toEqual([]);
    });

    it('is not claimed by a claim that started before the pause', async () => {
      const waiting = await insertMany(fixture.store, 3);
      const other = await insertOne(fixture.store, { topic: 'sms' });
      await fixture.store.pauses.pause([TOPIC]);
      const lanes = [TOPIC, 'sms'].map((topic) => ({ topic, priority: 0, from: '', limit: 10 }));
      const values = [`'${JSON.stringify(lanes)}'`, 10, 10, `'worker'`, 1_000];
      await fixture.sql(CLAIM.replaceAll(/\?(\d)/g, (_, place) => String(values[Number(place) - 1])));
      expect(await fixture.job(other)).toMatchObject({ status: 'processing' });
      for (const id of waiting) {
        expect(await fixture.job(id)).toMatchObject({ status: 'pending' });
      }
    });
  }

  it('is returned by a scan as waiting and paused', async () => {
    await insertOne(fixture.store);
    await insertOne(fixture.store, { priority: 4 });
    await insertOne(fixture.store, { topic: 'sms' });
    await fixture.store.pauses.pause([TOPIC]);
    const paused = (await scan()).filter(({ isPaused }) => isPaused);
    expect(paused.map(({ topic, priority }) => `${topic} ${priority}`).sort()).toEqual([
      `${TOPIC} 0`,
      `${TOPIC} 0`,
      `${TOPIC} 4`,
    ]);
    expect(paused.every(({ dueInMs }) => dueInMs <= 0)).toBe(true);
    expect((await scan()).filter(({ isPaused }) => !isPaused)).toMatchObject([{ topic: 'sms' }]);
  });

  it('keeps the time of the first pause, by the clock of the database', async () => {
    await fixture.store.pauses.pause([TOPIC]);
    const [first] = await fixture.store.pauses.list();
    expect(Math.abs(first!.since.getTime() - Date.now())).toBeLessThan(60_000);
    await until(() => Date.now() > first!.since.getTime());
    await fixture.store.pauses.pause(['sms', TOPIC]);
    const [again, second] = await fixture.store.pauses.list();
    expect(again).toEqual(first);
    expect(second).toMatchObject({ topic: 'sms' });
  });

  it('may have any topic name, and can be resumed without a pause', async () => {
    const names = [`O'Brien; DROP TABLE _jobs_topics`, '𝕋 "quoted" \\', 'x'.repeat(255)];
    await fixture.store.pauses.pause(names);
    expect((await fixture.store.pauses.list()).map(({ topic }) => topic).sort()).toEqual([...names].sort());
    await fixture.store.pauses.resume([...names, 'never']);
    await fixture.store.pauses.pause([]);
    await fixture.store.pauses.resume([]);
    expect(await fixture.store.pauses.list()).toEqual([]);
  });
});
