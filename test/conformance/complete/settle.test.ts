/** @npm-test typeorm-0.3 */

import type { Job, Outcome } from '../../../lib/core/job.js';
import type { Settlement } from '../../../lib/store/jobs/job-records.js';
import {
  claim,
  claimMany,
  claimOne,
  failure,
  insertOne,
  outcomes,
  settlement,
  WORKER,
} from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';

const DELAY_MS = 90_000;

/** Each kind of outcome with its status: usually, without retries left, and after a cancel request. */
const matrix: [Outcome, { usual: string; spent: string; charged: boolean; fails: boolean }][] = [
  [outcomes.completed('{"ok":1}'), { usual: 'completed', spent: 'completed', charged: false, fails: false }],
  [outcomes.retry(DELAY_MS), { usual: 'pending', spent: 'failed', charged: true, fails: true }],
  [outcomes.failed(), { usual: 'failed', spent: 'failed', charged: false, fails: true }],
  [outcomes.snooze(DELAY_MS), { usual: 'pending', spent: 'pending', charged: false, fails: false }],
  [outcomes.release(DELAY_MS), { usual: 'pending', spent: 'pending', charged: false, fails: false }],
  [outcomes.cancelled(), { usual: 'cancelled', spent: 'cancelled', charged: false, fails: false }],
];

const cases = matrix.flatMap(([outcome, { usual, spent, charged, fails }]) =>
  [true, false].flatMap((hasRetriesLeft) =>
    [false, true].map((cancelRequested) => {
      const status = cancelRequested ? 'cancelled' : hasRetriesLeft ? usual : spent;
      return { outcome, kind: outcome.kind, hasRetriesLeft, cancelRequested, status, charged, fails };
    }),
  ),
);

describe.each(storeKinds())('settle on $label', (kind) => {
  const fixture = useStore(kind);

  it.each(cases)(
    'sets a job to $status by $kind, with retries left: $hasRetriesLeft, cancel requested: $cancelRequested',
    async ({ outcome, hasRetriesLeft, cancelRequested, status, charged, fails }) => {
      const token = await claimOne(fixture.store, { maxRetries: 3 });
      await fixture.set(token.id, { retries: hasRetriesLeft ? 2 : 3, cancel_requested: cancelRequested });
      const before = await fixture.job(token.id);
      const [settled] = await fixture.store.settle([settlement(token, outcome)]);
      const job = await fixture.job(token.id);

      const retries = before.retries + (charged && status === 'pending' ? 1 : 0);
      const waiting = status === 'pending' ? { retries, runAt: job.runAt } : { retries: null, runAt: null };
      expect(settled).toEqual({ applied: true, status, attempt: 1, ...waiting });
      expect(job).toMatchObject({ status, attempt: 1, retries, maxRetries: 3, lockedUntil: null, lockedBy: null });
      expect(job.started).toEqual(before.started);
      expect(job.finished).toEqual(status === 'pending' ? null : job.updated);
      expect(job.lastError).toBe(fails ? 'no luck' : null);
      expect(job.errors).toHaveLength(fails ? 1 : 0);
      expect(job.result).toEqual(outcome.kind === 'completed' ? { ok: 1 } : null);
      expect(job.cancelRequested).toBe(cancelRequested);
      if (status === 'pending') {
        const waits = job.runAt.getTime() - job.updated.getTime();
        // eslint-disable-next-line jest/no-conditional-expect -- the cases define when
        expect(Math.abs(waits - DELAY_MS)).toBeLessThanOrEqual(1);
      } else {
        // eslint-disable-next-line jest/no-conditional-expect -- the cases define when
        expect(job.runAt).toEqual(before.runAt);
      }
    },
  );

  it.each(matrix.map(([outcome]) => ({ kind: outcome.kind, outcome })))(
    'stores the progress that comes with a $kind outcome, and keeps the value of the row without one',
    async ({ outcome }) => {
      const claims = await claimMany(fixture.store, 3);
      await fixture.store.recordProgress(claims.map((token) => ({ token, progress: '{"done":1}' })));
      const values = ['{"done":2}', 'null', undefined];
      const given = claims.map((token, index) => ({ ...settlement(token, outcome), progress: values[index] }));
      expect(await fixture.store.settle(given)).toMatchObject(claims.map(() => ({ applied: true })));
      const jobs = await Promise.all(claims.map(({ id }) => fixture.job(id)));
      expect(jobs.map(({ progress }) => progress)).toEqual([{ done: 2 }, null, { done: 1 }]);
    },
  );

  it('keeps the position of a job that is released without a delay', async () => {
    const [kept, postponed] = await claimMany(fixture.store, 2);
    await fixture.set(kept!.id, { run_at: '2030-01-01 00:00:00.123' });
    const before = await fixture.job(kept!.id);
    await fixture.store.settle([
      settlement(kept!, outcomes.release(null)),
      settlement(postponed!, outcomes.release(0)),
    ]);
    expect(await fixture.job(kept!.id)).toMatchObject({ status: 'pending', runAt: before.runAt });
    const { runAt, updated } = await fixture.job(postponed!.id);
    expect(runAt).toEqual(updated);
  });

  it('fails a job with maxRetries 0 at its first failure', async () => {
    const token = await claimOne(fixture.store, { maxRetries: 0 });
    expect(await fixture.store.settle([settlement(token, outcomes.retry())])).toMatchObject([{ status: 'failed' }]);
    expect(await fixture.job(token.id)).toMatchObject({ status: 'failed', retries: 0 });
  });

  it('runs a job with three retries four times', async () => {
    const id = await insertOne(fixture.store, { maxRetries: 3 });
    let runs = 0;
    for (let claims = await claim(fixture.store); claims.length > 0; claims = await claim(fixture.store)) {
      runs += 1;
      await fixture.store.settle([settlement(claims[0]!, outcomes.retry())]);
    }
    expect(runs).toBe(4);
    expect(await fixture.job(id)).toMatchObject({ status: 'failed', retries: 3, attempt: 4 });
  });

  it('makes a job due at once after a delay of zero', async () => {
    const token = await claimOne(fixture.store);
    await fixture.store.settle([settlement(token, outcomes.snooze(0))]);
    expect(await claim(fixture.store)).toMatchObject([{ id: token.id, attempt: 2 }]);
  });

  it('keeps the last error when a later attempt completes', async () => {
    const first = await claimOne(fixture.store);
    await fixture.store.settle([settlement(first, outcomes.retry())]);
    const [second] = await claim(fixture.store);
    await fixture.store.settle([settlement(second!, outcomes.completed('1'))]);
    const { lastError, errors, result, status } = await fixture.job(first.id);
    expect({ lastError, result, status }).toEqual({ lastError: 'no luck', result: 1, status: 'completed' });
    expect(errors).toHaveLength(1);
  });

  describe('errors', () => {
    it('contain the attempt, the time, the message and the stack of a failure', async () => {
      const token = await claimOne(fixture.store);
      const outcome: Outcome = {
        kind: 'retry',
        delayMs: 0,
        failure: failure('no such address', 'Error: …\n    at send'),
      };
      await fixture.store.settle([settlement(token, outcome)]);
      const { errors, started, updated, lastError } = await fixture.job(token.id);
      expect(lastError).toBe('no such address');
      expect(errors).toEqual([
        {
          attempt: 1,
          started: started!.toISOString(),
          finished: updated.toISOString(),
          message: 'no such address',
          stack: 'Error: …\n    at send',
          worker: WORKER,
        },
      ]);
    });

    it('have no stack when the error had none', async () => {
      const token = await claimOne(fixture.store);
      await fixture.store.settle([settlement(token, outcomes.failed())]);
      expect((await fixture.job(token.id)).errors).toMatchObject([{ message: 'no luck', stack: null }]);
    });

    it('keep the last twenty failures, oldest first', async () => {
      const id = await insertOne(fixture.store, { maxRetries: 1_000 });
      for (let attempt = 1; attempt <= 23; attempt += 1) {
        const [claimed] = await claim(fixture.store, { worker: `worker-${attempt}` });
        const outcome: Outcome = { kind: 'retry', delayMs: 0, failure: failure(`failure ${attempt}`) };
        await fixture.store.settle([settlement(claimed!, outcome)]);
      }
      const { errors, lastError } = await fixture.job(id);
      expect(errors.map(({ attempt }) => attempt)).toEqual(Array.from({ length: 20 }, (_, index) => index + 4));
      expect(errors.map(({ message }) => message).at(0)).toBe('failure 4');
      expect(errors.map(({ worker }) => worker).at(-1)).toBe('worker-23');
      expect(lastError).toBe('failure 23');
    });
  });

  describe('unusual text', () => {
    const texts: [string, string][] = [
      ['empty', ''],
      ['of quotes and backslashes', '\\"\' \\\\ \\u0000 \\n'],
      ['of control characters and line ends', '\u0001\b\t\n\r\u001f\u007f\u0085\u2028\u2029'],
      ['of many alphabets', 'ß日本語 עברית 👩‍👩‍👧 a\u0301 \uFFFD\uFFFF'],
      ['of placeholders and wildcards', '$1 ?1 :name @x %s %+.3f _%{}[]'],
      ["of SQL', and comments", `'); DROP TABLE _jobs; -- /* */ E'\\x00'`],
      ['of JSON', '{"a":[null,"b"]}'],
      ['like null', 'null'],
      ['of eight kibibytes', 'x'.repeat(8_192)],
    ];

    it.each(texts)('%s is stored in a result', async (_what, text) => {
      const token = await claimOne(fixture.store);
      await fixture.store.settle([settlement(token, outcomes.completed(JSON.stringify({ [text]: [text] })))]);
      expect((await fixture.job(token.id)).result).toEqual({ [text]: [text] });
    });

    it.each(texts)('%s is stored in an error', async (_what, text) => {
      const token = await claimOne(fixture.store);
      await fixture.store.settle([settlement(token, { kind: 'failed', failure: failure(text, text) })]);
      const { lastError, errors } = await fixture.job(token.id);
      expect(lastError).toBe(text);
      expect(errors).toMatchObject([{ message: text, stack: text }]);
    });

    it.each(['null', '0', 'false', '""', '[]', '1e-7', '12345678901234567890'])(
      'the result %s is stored',
      async (result) => {
        const token = await claimOne(fixture.store);
        await fixture.store.settle([settlement(token, outcomes.completed(result))]);
        expect((await fixture.job(token.id)).result).toEqual(JSON.parse(result));
      },
    );
  });

  it('settles a thousand jobs with all kinds of outcomes in one call and returns results in order', async () => {
    const claims = await claimMany(fixture.store, 1_000);
    const mixed = claims.toReversed().map((token, index) => settlement(token, matrix[index % matrix.length]![0]));
    const settled = await fixture.store.settle(mixed);
    expect(settled.every(({ applied, attempt }) => applied && attempt === 1)).toBe(true);
    expect(settled.map(({ status }) => status)).toEqual(
      mixed.map((_, index) => matrix[index % matrix.length]![1].usual),
    );
    const jobs = new Map((await fixture.store.find(claims.map(({ id }) => id))).map((job) => [job.id, job]));
    expect(mixed.map(({ token }) => jobs.get(token.id)!.status)).toEqual(settled.map(({ status }) => status));
    const readRetries = ({ status, retries }: Job): number | null => (status === 'pending' ? retries : null);
    expect(mixed.map(({ token }) => readRetries(jobs.get(token.id)!))).toEqual(settled.map(({ retries }) => retries));
  });

  it('records when the handler of a failure started, not when the job was claimed', async () => {
    const token = await claimOne(fixture.store);
    const startedMs = (await fixture.now()).getTime() - 60_000;
    await fixture.store.settle([{ ...settlement(token, outcomes.retry()), startedMs }]);
    const { started, errors } = await fixture.job(token.id);
    const [failed] = errors;
    expect([started!.getTime(), Date.parse(failed!.started!)]).toEqual([startedMs, startedMs]);
  });

  it('distinguishes the few jobs of a large batch that differ from the rest', async () => {
    const claims = await claimMany(fixture.store, 150);
    const [unwanted, lost, gone, slow, telling, second] = claims;
    await fixture.set(unwanted!.id, { cancel_requested: true });
    await fixture.set(lost!.id, { attempt: 2 });
    await fixture.set(second!.id, { attempt: 2 });
    await fixture.sql(`DELETE FROM _jobs WHERE id = '${gone!.id}'`);
    const startedMs = (await fixture.now()).getTime() - 10;
    const all: Settlement[] = claims.map((token) => ({
      ...settlement(token, outcomes.completed(null)),
      ...{ durationMs: 0.1, startedMs },
    }));
    all[3] = { ...all[3]!, durationMs: 60_000, startedMs: startedMs - 60_000 };
    all[4] = settlement(telling!, outcomes.completed('"sent"'));
    all[5] = { ...all[5]!, token: { id: second!.id, attempt: 2 } };

    const statuses = (await fixture.store.settle(all)).map(({ applied, status }) => ({ applied, status }));
    const usual = { applied: true, status: 'completed' };
    const first = [
      { applied: true, status: 'cancelled' },
      { applied: false, status: 'processing' },
    ];
    expect(statuses.slice(0, 3)).toEqual([...first, { applied: false, status: null }]);
    expect(statuses.slice(3)).toEqual(Array.from({ length: 147 }, () => usual));
    expect((await fixture.job(telling!.id)).result).toBe('sent');
    const { started, finished } = await fixture.job(slow!.id);
    expect([started!.getTime(), finished!.getTime()]).toEqual([startedMs - 60_000, startedMs]);
    expect((await fixture.job(claims.at(-1)!.id)).started!.getTime()).toBe(startedMs);
    expect(await fixture.job(lost!.id)).toMatchObject({ status: 'processing', attempt: 2, lockedBy: WORKER });
  });

  it('accepts an empty batch', async () => {
    expect(await fixture.store.settle([])).toEqual([]);
  });
});
