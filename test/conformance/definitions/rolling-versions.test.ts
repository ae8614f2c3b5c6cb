/**
 * @slow
 */

import { isDeepStrictEqual } from 'node:util';
import type { JobHandlerOptions, JobsLogger } from 'nestjs-jobs';
import { JobsEngine } from 'nestjs-jobs';
import type { DefinitionStore } from '../../../lib/store/job-store.js';
import { orphanDefinitions } from '../../support/declared.js';
import { claimMany, outcomes, settlement } from '../../support/job-rows.js';
import { overrideStore } from '../../support/override-store.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { until } from '../../support/wait.js';

const DAY = 86_400_000;
const TOPIC = 'mail';
const SCHEDULE = 'nightly';
const APPLIED_MAX_MS = 30_000;

/** A version of an application. */
interface Version {
  readonly handler: JobHandlerOptions & { batch?: undefined };
  /** Pattern of the schedule. */
  readonly pattern?: string;
}

/** What applies of the versions that run. */
interface Applied {
  readonly limits: object | null;
  readonly retention: object | null;
  readonly deadLetters: readonly string[];
  readonly pattern?: unknown;
}

interface Process {
  readonly engine: JobsEngine;
  readonly warnings: string[];
  /** Hashes of what it has declared. */
  readonly hashes: ReadonlySet<string>;
}

const toVersion = (concurrency: number, days: number, deadLetter: string, pattern: string): [Version, Applied] => [
  { handler: { limits: { concurrency }, retention: { completed: days * DAY }, deadLetter }, pattern },
  { limits: { concurrency }, retention: { completed: days * DAY }, deadLetters: [deadLetter], pattern },
];

const [v1, appliedV1] = toVersion(50, 1, 'dead-1', '0 1 * * *');
const [v2, appliedV2] = toVersion(2, 365, 'dead-2', '0 2 * * *');
const [v3, appliedV3] = toVersion(3, 30, 'dead-3', '0 3 * * *');
/** A version that sets no option. */
const plain: Version = { handler: {} };
const nothing: Applied = { limits: null, retention: null, deadLetters: [] };

describe.each(storeKinds().filter(({ canHaveTwoConnections }) => canHaveTwoConnections))(
  'versions side by side on $label',
  (kind) => {
    const fixture = useStore(kind);
    const engines: JobsEngine[] = [];

    beforeEach(async () => {
      for (const table of ['_jobs_schedules', '_jobs_topics', '_jobs_workers']) {
        await fixture.sql(`DELETE FROM ${table}`);
      }
    });
    afterEach(async () => {
      await Promise.all(engines.splice(0).map((engine) => engine.close()));
    });

    /** Starts a process of a version, with a connection of its own. */
    async function start({ handler, pattern }: Version, topic = TOPIC): Promise<Process> {
      const { store } = await fixture.openAnother();
      const hashes = new Set<string>();
      const warnings: string[] = [];
      const ignore = (): void => undefined;
      const warn = (text: unknown): void =>
        void ((text as string).startsWith('two versions') && warnings.push(text as string));
      const logger: JobsLogger = { warn, error: ignore, log: ignore, debug: ignore };
      const definitions = watch(store.definitions, hashes);
      const engine = new JobsEngine({ store: overrideStore(store, { definitions }), logger, pollInterval: '200ms' });
      engines.push(engine);
      engine.register(topic, () => Promise.reject(new Error('broken')), { maxRetries: 0, ...handler });
      if (pattern) engine.declareSchedule(SCHEDULE, pattern, { topic });
      await engine.start();
      return { engine, warnings, hashes };
    }

    /** Ends a process, and makes its declarations look as if it had been killed a minute ago. */
    async function kill({ engine, hashes }: Process): Promise<void> {
      await engine.close();
      engines.splice(engines.indexOf(engine), 1);
      const list = [...hashes].map((hash) => `'${hash}'`).join(', ');
      await orphanDefinitions(fixture, { where: `hash IN (${list})` });
    }

    async function read(engine: JobsEngine): Promise<Applied> {
      const [topic] = await engine.topics.list(TOPIC);
      const schedule = await engine.schedules.get(SCHEDULE);
      const { limits = null, retention = null, deadLetters = [] } = topic ?? {};
      return { limits, retention, deadLetters, ...(schedule && { pattern: schedule.pattern }) };
    }

    const untilApplied = ({ engine }: Process, expected: Applied): Promise<unknown> =>
      until(async () => isDeepStrictEqual(await read(engine), expected), {
        timeoutMs: APPLIED_MAX_MS,
        message: `the definitions ${JSON.stringify(expected)}`,
      });

    /** Starts a process of the older version, and then one of the newer. */
    async function startBoth(): Promise<readonly [old: Process, fresh: Process]> {
      const old = await start(v1);
      await untilApplied(old, appliedV1);
      const fresh = await start(v2);
      await untilApplied(fresh, appliedV2);
      return [old, fresh];
    }

    /** Runs a process of each version, until an outage ends both. */
    async function startAndKillBoth(): Promise<void> {
      for (const process of await startBoth()) {
        await kill(process);
      }
    }

    /** Creates jobs that completed at these ages. They start in a topic without limits. */
    async function createCompleted(agesMs: readonly number[]): Promise<string[]> {
      const claims = await claimMany(fixture.store, agesMs.length, { topic: 'other' });
      await fixture.store.settle(claims.map((token) => settlement(token, outcomes.completed())));
      for (const [index, { id }] of claims.entries()) {
        const at = { msFromNow: -agesMs[index]! };
        await fixture.set(id, { created: at, finished: at });
        await fixture.sql(`UPDATE _jobs SET topic = '${TOPIC}' WHERE id = '${id}'`);
      }
      return claims.map(({ id }) => id);
    }

    const exists = async (id: string): Promise<boolean> =>
      (await fixture.sql(`SELECT 1 FROM _jobs WHERE id = '${id}'`)).length > 0;

    /** Waits until a process has recorded twice that it lives. */
    async function untilRecorded(): Promise<void> {
      const seen = async (): Promise<string> => JSON.stringify(await fixture.sql('SELECT seen FROM _jobs_workers'));
      const times = new Set<string>();
      await until(async () => times.add(await seen()).size > 2, { timeoutMs: 60_000, message: 'two records' });
    }

    it('keep the definitions of the newer one when the older one starts again and ends', async () => {
      const [, fresh] = await startBoth();
      const again = await start(v1);
      await until(() => again.warnings.length > 0, { message: 'a warning', timeoutMs: APPLIED_MAX_MS });
      expect(again.warnings).toEqual([expect.stringContaining(`limits of '${TOPIC}'`)]);
      for (const text of [`schedule '${SCHEDULE}'`, `retention of '${TOPIC}'`, `dead letters of '${TOPIC}'`]) {
        expect(again.warnings[0]).toContain(text);
      }
      expect(await read(fresh.engine)).toEqual(appliedV2);
      const [topic] = await fresh.engine.topics.list(TOPIC);
      expect(topic!.liveDefinitions).toEqual({ limits: 2, retention: 2, deadLetters: 2 });
      expect(await fresh.engine.schedules.get(SCHEDULE)).toMatchObject({ liveDefinitions: 2 });
      await kill(again);
      await untilRecorded();
      expect(await read(fresh.engine)).toEqual(appliedV2);
      expect(fresh.warnings).toEqual([]);
    });

    it('apply those of the older one when the newer one is gone, and of the newer one when it is back', async () => {
      const [old, fresh] = await startBoth();
      await kill(fresh);
      await untilApplied(old, appliedV1);
      const newest = await start(v3);
      await untilApplied(newest, appliedV3);
      const back = await start(v2);
      await untilRecorded();
      expect(await read(back.engine)).toEqual(appliedV3);
      await kill(newest);
      await untilApplied(old, appliedV2);
      expect((await old.engine.schedules.get(SCHEDULE))!.nextTick!.getUTCHours()).toBe(2);
      expect(await fixture.sql(`SELECT 1 FROM _jobs WHERE topic = '${TOPIC}'`)).toEqual([]);
    });

    it('keep what the newer one declares and the older one does not know', async () => {
      const fresh = await start({ handler: { deadLetter: 'dead-2' } });
      await untilApplied(fresh, { ...nothing, deadLetters: ['dead-2'] });
      await fresh.engine.topics.pause('dead-2');
      const old = await start(plain);
      await untilRecorded();
      const { id } = await old.engine.enqueue(TOPIC, null);
      await until(async () => (await fixture.job(id)).status === 'failed', { message: 'the failure' });
      const isStored = async (): Promise<boolean> =>
        (await fixture.sql(`SELECT topic FROM _jobs WHERE topic = 'dead-2'`)).length === 1;
      await until(isStored, { message: 'the dead letter' });
      expect(old.warnings).toEqual([]);
    });

    it('keep what applied before an outage, and the jobs it keeps, although the older one is the first to come back', async () => {
      await startAndKillBoth();
      const [kept, beyond] = await createCompleted([2 * DAY, 400 * DAY]);
      const early = await start(v1);
      await until(async () => !(await exists(beyond!)), { timeoutMs: APPLIED_MAX_MS, message: 'the first pruning' });
      await untilRecorded();
      expect(await read(early.engine)).toEqual(appliedV2);
      await start(v2);
      await until(() => early.warnings.length > 0, { message: 'a warning', timeoutMs: APPLIED_MAX_MS });
      expect(await read(early.engine)).toEqual(appliedV2);
      expect(await exists(kept!)).toBe(true);
    });

    it('apply those of the older one when the newer one does not come back after an outage', async () => {
      await startAndKillBoth();
      const early = await start(v1);
      await untilApplied(early, appliedV1);
      expect(early.warnings).toEqual([]);
    });

    it('end what no process declares any more, when a process handles the topic', async () => {
      const old = await start(v1);
      await untilApplied(old, appliedV1);
      await kill(old);
      const fresh = await start(plain);
      await untilApplied(fresh, { ...nothing, pattern: appliedV1.pattern });
      expect(await fresh.engine.schedules.get(SCHEDULE)).toMatchObject({ isDeclared: false, liveDefinitions: 0 });
    });

    it('keep the last definitions while no process handles the topic', async () => {
      const old = await start(v1);
      await untilApplied(old, appliedV1);
      await kill(old);
      const other = await start(plain, 'other');
      await untilRecorded();
      const [topic] = (await other.engine.limits.list()).filter((each) => each.topic === TOPIC);
      expect(topic).toMatchObject({ limits: appliedV1.limits, source: 'code' });
      expect((await fixture.store.limits.list(TOPIC))[0]).toMatchObject({ retention: appliedV1.retention, live: {} });
    });

    it('write again what was deleted from the table of definitions', async () => {
      const only = await start(v1);
      await untilApplied(only, appliedV1);
      await fixture.sql('DELETE FROM _jobs_definitions');
      const count = async (): Promise<number> => (await fixture.sql('SELECT 1 FROM _jobs_definitions')).length;
      await until(async () => (await count()) === 4, { timeoutMs: APPLIED_MAX_MS, message: 'all definitions' });
      await untilApplied(only, appliedV1);
    });

    it('send no statement about definitions while no process declares any', async () => {
      const used: PropertyKey[] = [];
      const { store } = await fixture.openAnother();
      const definitions = new Proxy(store.definitions, {
        get: (table, verb) => {
          used.push(verb);
          return Reflect.get(table, verb, table) as unknown;
        },
      });
      const engine = new JobsEngine({ store: overrideStore(store, { definitions }) });
      engines.push(engine);
      engine.register(TOPIC, () => null);
      await engine.start();
      const { id } = await engine.enqueue(TOPIC, null);
      await until(async () => (await fixture.job(id)).status === 'completed', { message: 'a job' });
      await until(async () => (await engine.workers()).length > 0, { message: 'the record of the process' });
      expect(used).toEqual([]);
    });
  },
);

/** Adds the hashes of what is declared to a set. */
function watch(definitions: DefinitionStore, hashes: Set<string>): DefinitionStore {
  return {
    declare: (given, isSettling) => {
      given.forEach(({ hash }) => hashes.add(hash));
      return definitions.declare(given, isSettling);
    },
    apply: (isSettling) => definitions.apply(isSettling),
    state: (refs, isSettling) => definitions.state(refs, isSettling),
    pendingSchedules: (isSettling) => definitions.pendingSchedules(isSettling),
  };
}
