import { setImmediate as nextTurn } from 'node:timers/promises';
import { JobsEngine, UnrecoverableError } from 'nestjs-jobs';
import { overrideStore } from '../../support/override-store.js';
import { claimMany, outcomes, settlement, TOPIC } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { until } from '../../support/wait.js';

/** Long enough for a transaction to start first. */
const DUE_MS = 250;

describe.each(storeKinds().filter(({ locksRows }) => !locksRows))('events of a job on $label', (kind) => {
  const fixture = useStore(kind);
  let engine: JobsEngine | undefined;

  afterEach(async () => {
    await engine?.close();
    engine = undefined;
  });

  it.each([{ retention: 0 }, {}] as const)(
    'report the end of an attempt before the start of the next, which was claimed at once, with %j',
    async (options) => {
      let isSettling = false;
      let isClaiming = false;
      const store = overrideStore(fixture.store, {
        settle: (...given) => {
          isSettling = true;
          return fixture.store.settle(...given);
        },
        // Returns the original promise, so that its timing does not change.
        claim: (request) => {
          isClaiming = true;
          const claims = fixture.store.claim(request);
          const markReturned = (): boolean => (isClaiming = false);
          claims.then(markReturned, markReturned);
          return claims;
        },
      });
      engine = new JobsEngine({
        store,
        pollInterval: 20,
        backoff: { type: 'fixed', delay: 0 },
        maxRetries: 2,
        ...options,
      });
      const lines: string[] = [];
      engine.events.subscribe(
        (event) => 'attempt' in event && lines.push(`${event.topic} ${event.attempt} ${event.type}`),
      );
      let end = (): void => undefined;
      const mayEnd = new Promise<void>((resolve) => (end = resolve));
      engine.register(TOPIC, async ({ attempt, payload }) => {
        await mayEnd;
        if (attempt === 1 && payload === 'twice') throw new Error('once more');
      });
      engine.register('gone', async () => {
        await mayEnd;
        throw new UnrecoverableError('for good');
      });
      await engine.enqueueMany([TOPIC, 'gone'].map((topic) => ({ topic, payload: 'twice' })));
      await engine.start();
      await until(() => lines.filter((each) => each.endsWith('started')).length === 2);
      // This delayed job makes the queue claim the topic while the outcomes wait for the transaction.
      await engine.enqueue(TOPIC, 'once', { delay: DUE_MS });
      const dueMs = Date.now() + DUE_MS;
      await fixture.app.transaction(async (manager) => {
        await manager.query('CREATE TABLE IF NOT EXISTS held (id integer)');
        end();
        await until(() => isSettling && isClaiming && Date.now() > dueMs);
        for (let turn = 0; turn < 3; turn += 1) await nextTurn();
      });
      await engine.whenIdle();
      const first = lines.indexOf(`${TOPIC} 1 retrying`);
      expect(first).toBeGreaterThan(0);
      expect(lines.indexOf(`${TOPIC} 2 started`)).toBeGreaterThan(first);
    },
  );

  it.each([
    { jobs: 10, durationMs: 5 },
    { jobs: 150, durationMs: 0.1 },
  ])('report the completion of a job whose delete waits behind it, with %j', async ({ jobs, durationMs }) => {
    const set = (await claimMany(fixture.store, jobs)).map((token) => ({
      ...settlement(token, outcomes.completed(null)),
      durationMs,
    }));
    const [early] = set;
    await fixture.store.settle([early!]);
    const [answers, [deleted]] = await Promise.all([
      fixture.store.settle(set),
      fixture.store.delete([early!.token.id]),
    ]);
    expect(answers.map(({ status, attempt }) => `${status} ${attempt}`)).toEqual(set.map(() => 'completed 1'));
    expect(deleted).toMatchObject({ changed: true });
  });
});
