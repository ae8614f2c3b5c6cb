import { isDeepStrictEqual } from 'node:util';
import type { JobInsert, Lane } from '../../../lib/store/jobs/job-records.js';
import { claim, claimMany, lane, newJob, outcomes, settlement } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';

/* One job and several use different statements. Jobs with all fields are the rarest case. */

const PAST = new Date('2020-02-03T04:05:06.789Z');

/** Jobs that differ in every field. */
const jobs: Partial<JobInsert>[] = [
  {
    payload: '{"text":"a \\"quoted\\" {word}, ü"}',
    runAt: PAST,
    timeoutMs: 3_000_000_000,
    backoff: { type: 'fixed', delayMs: 7, maxDelayMs: 7, jitter: 0 },
    metadata: '{"by":"anna","tags":["{","}"]}',
    maxRetries: 0,
  },
  { payload: 'null', timeoutMs: 1 },
  { payload: '[1,"zwei",null]', maxRetries: 1_000, metadata: '{}' },
  { payload: '"text"', backoff: { type: 'exponential', delayMs: 10, maxDelayMs: 20, jitter: 0.5 } },
];

const payloads = jobs.map(({ payload }) => payload!);

/** The only difference of two jobs. */
const differences: { what: string; members: Partial<JobInsert> }[] = [
  { what: 'their topics', members: { topic: 'other' } },
  { what: 'their runAt', members: { runAt: new Date(PAST.getTime() + 1) } },
  { what: 'that only one of them has a runAt', members: { runAt: null } },
  { what: 'their retries', members: { maxRetries: 8 } },
  { what: 'their priorities', members: { priority: 1 } },
  { what: 'their time limits', members: { timeoutMs: null } },
  { what: 'their backoff', members: { backoff: null } },
  { what: 'their metadata', members: { metadata: '{}' } },
];

const results = ['{"a":[1,null]}', null, 'null', '"text"'];

function toLanes(given: readonly JobInsert[]): Lane[] {
  const lanes = given.map(({ topic, priority }) => lane({ topic, priority }));
  return lanes.filter((one, index) => lanes.findIndex((other) => isDeepStrictEqual(one, other)) === index);
}

describe.each(storeKinds())('single jobs and batches on $label', (kind) => {
  const fixture = useStore(kind);

  /** Inserts the jobs and expects a claim to return all their fields. */
  async function expectStored(given: readonly JobInsert[]): Promise<void> {
    const inserted = await fixture.store.insert(given);
    const claims = await claim(fixture.store, { lanes: toLanes(given) });
    for (const [index, { id, payload, metadata, runAt, ...job }] of given.entries()) {
      const claimed = claims.find((one) => one.id === id)!;
      const { timeoutMs, backoff, maxRetries, priority } = job;
      expect(claimed).toMatchObject({ topic: job.topic, timeoutMs, backoff, maxRetries, priority, retries: 0 });
      const parsed = [payload, metadata].map((text) => (text === null ? null : (JSON.parse(text) as unknown)));
      expect([claimed.payload, claimed.metadata]).toEqual(parsed);
      expect(claimed.runAt).toEqual(runAt ?? claimed.created);
      expect(inserted[index]).toEqual({
        id,
        deduplicated: false,
        replayedBodyHash: null,
        replaced: false,
        runAt: claimed.runAt,
        created: claimed.created,
      });
    }
  }

  describe.each([1, 2, 4])('of %d', (count) => {
    it('are stored with all fields', async () => {
      await expectStored(jobs.slice(0, count).map((members) => newJob(members)));
    });

    it('are stored with equal fields and different payloads', async () => {
      await expectStored(payloads.slice(0, count).map((payload) => newJob({ ...jobs[0], payload })));
    });

    it('are due after their delays', async () => {
      const given = jobs.slice(0, count).map((_, index) => newJob({ delayMs: 60_000.5 * (index + 1) }));
      await fixture.store.insert(given);
      for (const [index, { id }] of given.entries()) {
        const { runAt, created } = await fixture.job(id);
        const delayMs = runAt.getTime() - created.getTime();
        expect(Math.abs(delayMs - 60_000.5 * (index + 1))).toBeLessThanOrEqual(1);
      }
    });

    it('are completed with their results and start times', async () => {
      const claims = await claimMany(fixture.store, count);
      const startedMs = (await fixture.now()).getTime() - 60_000;
      const settled = await fixture.store.settle(
        claims.map((token, index) => ({
          ...settlement(token, outcomes.completed(results[index])),
          startedMs: startedMs + index,
        })),
      );
      expect(settled.map(({ applied }) => applied)).toEqual(claims.map(() => true));
      for (const [index, { id }] of claims.entries()) {
        const { status, result, started } = await fixture.job(id);
        expect({ status, result }).toEqual({
          status: 'completed',
          result: results[index] ? (JSON.parse(results[index]) as unknown) : null,
        });
        expect(started!.getTime()).toBe(startedMs + index);
      }
    });

    it('are cancelled instead of deleted after a cancel request, and kept while they have an idempotency key', async () => {
      const claims = await claimMany(fixture.store, count);
      const [asked, keyed] = [claims[0]!, claims[1]];
      await fixture.store.cancel([asked.id]);
      if (keyed) {
        await fixture.set(keyed.id, { idempotency_key: 'key', body_hash: 'body' });
      }
      const settled = await fixture.store.settle(
        claims.map((token) => settlement(token, outcomes.completed())),
        ['completed'],
      );
      const ended = claims.map((token) => (token === asked ? 'cancelled' : 'completed'));
      expect(settled.map(({ status }) => status)).toEqual(ended);
      const left = await fixture.store.find(claims.map(({ id }) => id));
      expect(left.map(({ id }) => id).sort()).toEqual(
        claims
          .slice(0, 2)
          .map(({ id }) => id)
          .sort(),
      );
    });
  });

  it.each(differences)('two jobs that differ only in $what are stored with all fields', async ({ members }) => {
    await expectStored([newJob(jobs[0]), newJob({ ...jobs[0], ...members })]);
  });

  it('two jobs with different delays are due after their own delay', async () => {
    const given = [newJob({ delayMs: 60_000 }), newJob({ delayMs: 0 })];
    const [late, early] = await fixture.store.insert(given);
    expect(late!.runAt.getTime() - early!.runAt.getTime()).toBe(60_000);
  });

  it('one completed job is kept while it has an idempotency key', async () => {
    const [token] = await claimMany(fixture.store, 1, { idempotency: { key: 'key', bodyHash: 'body' } });
    await fixture.store.settle([settlement(token!, outcomes.completed())], ['completed']);
    expect(await fixture.job(token!.id)).toMatchObject({ status: 'completed' });
  });
});
