import { JobsEngine } from 'nestjs-jobs';
import { declareTopics } from '../../support/declared.js';
import { claimMany, outcomes, settlement, TOPIC } from '../../support/job-rows.js';
import { claimByRef, enqueueLinked, linkedJob, settleAll } from '../../support/linked-jobs.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { until } from '../../support/wait.js';

const DEAD = 'mail.dead';
/** A page of the search for jobs that owe a follow-up. */
const PAGE = 500;
/** Thousands of refused transactions. Beside other work of the machine they take a minute. */
const LOADED_MS = 240_000;

describe.each(storeKinds().filter(({ canHaveTwoConnections }) => canHaveTwoConnections))(
  'follow-ups that the database refuses on $label',
  (kind) => {
    const fixture = useStore(kind);

    beforeEach(() =>
      declareTopics(fixture.store, [{ topic: TOPIC, deadLetters: [{ topic: DEAD, maxRetries: 3, priority: 0 }] }]),
    );
    afterEach(() => acceptLetters());

    /** A trigger of the application, like one that writes an audit and has a fault. @param condition on the new row. */
    async function refuseLetters(condition = 'true'): Promise<void> {
      const when = `WHEN (NEW.topic = '${DEAD}' AND ${condition})`;
      if (!kind.locksRows) {
        await fixture.sql(
          `CREATE TRIGGER refuse_letters BEFORE INSERT ON _jobs ${when} BEGIN SELECT RAISE(ABORT, 'no audit'); END`,
        );
        return;
      }
      await fixture.sql(`
        CREATE OR REPLACE FUNCTION refuse_letter() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no audit'; END $$;
        CREATE TRIGGER refuse_letters BEFORE INSERT ON _jobs FOR EACH ROW ${when} EXECUTE FUNCTION refuse_letter()`);
    }

    async function acceptLetters(): Promise<void> {
      await fixture.sql(`DROP TRIGGER IF EXISTS refuse_letters ${kind.locksRows ? 'ON _jobs' : ''}`);
    }

    const count = async (condition: string): Promise<number> =>
      (await fixture.sql(`SELECT 1 FROM _jobs WHERE ${condition}`)).length;

    /** Fails jobs for good in one batch. */
    async function failMany(jobs: number, payload = '"x"'): Promise<string[]> {
      const tokens = await claimMany(fixture.store, jobs, { payload });
      const settled = await settleAll(
        fixture.store,
        tokens.map((token) => settlement(token, outcomes.failed())),
      );
      expect(settled.every(({ status }) => status === 'failed')).toBe(true);
      return tokens.map(({ id }) => id);
    }

    async function poll(): Promise<void> {
      await fixture.store.links.followOwed(-1_000);
      await fixture.store.links.idle();
    }

    /** Completes the parent of a job, as a process that dies before the follow-up. Returns whether the child has become due. */
    async function crashBeforeFollowUp(): Promise<() => Promise<boolean>> {
      const { parent } = await enqueueLinked(fixture.store, [linkedJob('parent'), linkedJob('child', ['parent'])]);
      await fixture.set(parent!, { status: 'completed', finished: await fixture.now() });
      return async () => 'child' in (await claimByRef(fixture.store));
    }

    it(
      'do not hold up those that other jobs owe',
      async () => {
        await refuseLetters();
        await failMany(PAGE);
        await failMany(PAGE);
        const isReleased = await crashBeforeFollowUp();
        for (const page of [1, 2, 3]) {
          expect([page, await isReleased()]).toEqual([page, false]);
          await poll();
        }
        expect(await isReleased()).toBe(true);
      },
      LOADED_MS,
    );

    it(
      'are tried again, and those of jobs that end in the meantime are not held up',
      async () => {
        await refuseLetters();
        await failMany(PAGE);
        await poll();
        await poll();
        const isReleased = await crashBeforeFollowUp();
        await poll();
        expect(await isReleased()).toBe(true);
        await acceptLetters();
        for (let polls = 0; (await count(`topic = '${DEAD}'`)) < PAGE; polls += 1) {
          expect(polls).toBeLessThan(30);
          await poll();
        }
        await poll();
        expect(await count(`topic = '${DEAD}'`)).toBe(PAGE);
        expect(await fixture.store.links.followOwed(-1_000)).toBe(0);
      },
      LOADED_MS,
    );

    it('do not spoil those of other jobs in their batch', async () => {
      const refused = kind.locksRows ? `NEW.payload ->> 'payload' = 'bad'` : `NEW.payload ->> '$.payload' = 'bad'`;
      await refuseLetters(refused);
      const tokens = [
        ...(await claimMany(fixture.store, 100, { payload: '"good"' })),
        ...(await claimMany(fixture.store, 1, { payload: '"bad"' })),
        ...(await claimMany(fixture.store, 100, { payload: '"good"' })),
      ];
      await settleAll(
        fixture.store,
        tokens.map((token) => settlement(token, outcomes.failed())),
      );
      expect(await count(`topic = '${DEAD}'`)).toBe(200);
      expect(await fixture.store.links.followOwed(-1_000)).toBe(1);
    });

    it(
      'are logged by the workers once, with a job, and so is their end',
      async () => {
        const lines: string[] = [];
        const log = (line: unknown): void => void lines.push(String(line));
        const logger = { log, warn: log, error: log, debug: () => undefined, verbose: () => undefined };
        await refuseLetters();
        const ids = await failMany(3);
        const engine = new JobsEngine({ store: fixture.store, logger });
        const about = (): string[] => lines.filter((line) => line.includes('follow-up'));
        await engine.start();
        try {
          await until(() => about().length > 0, { message: 'the line about the failure' });
          // Further rescues find the same jobs.
          await new Promise((resolve) => setTimeout(resolve, 6_000));
          expect(about()).toHaveLength(1);
          expect(about()[0]).toContain('no audit');
          expect(ids.some((id) => about()[0]!.includes(id))).toBe(true);
          await acceptLetters();
          await until(() => about().length > 1, { message: 'the line about the recovery' });
          expect(about()[1]).toContain('recovered');
          expect(await count(`topic = '${DEAD}'`)).toBe(3);
        } finally {
          await engine.stop();
        }
      },
      LOADED_MS,
    );
  },
);
