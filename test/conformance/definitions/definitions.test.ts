import type { Definition, TopicDefinitionKind } from '../../../lib/store/definitions/definition-records.js';
import { DEFINITION_AGE_MS, toDefinition } from '../../../lib/store/definitions/definition-records.js';
import { declareTopics, handleTopics, orphanDefinitions, toDefinitions } from '../../support/declared.js';
import { TOPIC, WORKER_DETAILS } from '../../support/job-rows.js';
import type { StoreFixture } from '../../support/stores.js';
import { storeKinds, useStore } from '../../support/stores.js';

const HOUR = 3_600_000;

type Versions = readonly [Definition, Definition, Definition];

const toVersions = (kind: TopicDefinitionKind, toValue: (version: number) => unknown): Versions => {
  const toVersion = (version: number): Definition => toDefinition(kind, TOPIC, toValue(version));
  return [toVersion(1), toVersion(2), toVersion(3)];
};

/** Definitions of three versions of an application, of each kind. */
const versions: Readonly<Record<TopicDefinitionKind, Versions>> = {
  limits: toVersions('limits', (concurrency) => ({ concurrency })),
  retention: toVersions('retention', (hours) => ({ completed: hours * HOUR })),
  dead_letters: toVersions('dead_letters', (version) => [{ topic: `dead-${version}`, maxRetries: 3, priority: 0 }]),
};

const kindsOfDefinitions = Object.keys(versions) as TopicDefinitionKind[];

/** What the row of the topic has, where claims, the pruner and the settlement of failures read it. */
async function readRow(fixture: StoreFixture, kind: TopicDefinitionKind): Promise<unknown> {
  const [stored] = await fixture.store.limits.list(TOPIC);
  const { code = null, retention = null, deadLetters = [] } = stored ?? {};
  return { limits: code, retention, dead_letters: deadLetters.length > 0 ? deadLetters : null }[kind];
}

describe.each(storeKinds())('definitions on $label', (kind) => {
  const fixture = useStore(kind);
  const declare = (...definitions: Definition[]): Promise<string[]> => fixture.store.definitions.declare(definitions);
  const countDefinitions = async (): Promise<number> => (await fixture.sql('SELECT 1 FROM _jobs_definitions')).length;
  const orphan = ({ hash }: Definition): Promise<void> => orphanDefinitions(fixture, { where: `hash = '${hash}'` });
  /** Sets a column of all definitions; `ms` counts from now. */
  const setTime = async (column: string, ms: number, where = '1 = 1'): Promise<void> => {
    const time = new Date((await fixture.now()).getTime() + ms).toISOString().replace('T', ' ').slice(0, -1);
    await fixture.sql(`UPDATE _jobs_definitions SET ${column} = '${time}' WHERE ${where}`);
  };

  afterEach(async () => {
    for (const table of ['_jobs_topics', '_jobs_definitions', '_jobs_schedules', '_jobs_workers']) {
      await fixture.sql(`DELETE FROM ${table}`);
    }
  });

  describe.each(kindsOfDefinitions)('%s', (of) => {
    const [first, second, third] = versions[of];
    const expectApplied = async (definition: Definition | null): Promise<void> =>
      expect(await readRow(fixture, of)).toEqual(definition && JSON.parse(definition.json));

    it('stay those that were first seen last when an older version starts again', async () => {
      expect(await declare(first)).toEqual([TOPIC]);
      expect(await declare(second)).toEqual([TOPIC]);
      expect(await declare(first)).toEqual([]);
      await expectApplied(second);
      expect(await declare(third)).toEqual([TOPIC]);
      expect(await declare(first, second)).toEqual([]);
      await expectApplied(third);
    });

    it('are the newest of the live ones when no live process declares a newer one, and again when one does', async () => {
      await declare(first);
      await declare(second);
      await declare(third);
      await orphan(third);
      expect(await fixture.store.definitions.apply()).toEqual([TOPIC]);
      await expectApplied(second);
      await orphan(second);
      await fixture.store.definitions.apply();
      await expectApplied(first);
      expect(await declare(second)).toEqual([TOPIC]);
      await expectApplied(second);
    });

    it('of a version that runs no more do not come back with a version that is new', async () => {
      await declare(second);
      await orphan(second);
      await declare(first);
      await expectApplied(first);
      // The rollback of a rollback: the first version is the newer one now.
      await declare(second);
      await expectApplied(first);
    });

    it('end when a live process handles the topic and none declares them', async () => {
      await declare(first);
      await orphanDefinitions(fixture);
      expect(await handleTopics(fixture.store, TOPIC)).toEqual([TOPIC]);
      await expectApplied(null);
    });

    it('stay while no live process handles the topic, until they are deleted after 30 days', async () => {
      await declare(first);
      await orphanDefinitions(fixture);
      expect(await handleTopics(fixture.store, 'other')).toEqual([]);
      await fixture.store.reports.recordWorker('dead', [TOPIC], WORKER_DETAILS);
      const seen = new Date((await fixture.now()).getTime() - 11_000).toISOString().replace('T', ' ').slice(0, -1);
      await fixture.sql(`UPDATE _jobs_workers SET seen = '${seen}'`);
      expect(await fixture.store.definitions.apply()).toEqual([]);
      await expectApplied(first);
      expect((await fixture.store.limits.list(TOPIC))[0]!.live).toEqual({});
      await orphanDefinitions(fixture, { ageMs: DEFINITION_AGE_MS + HOUR });
      expect((await fixture.store.definitions.state([])).isPruneDue).toBe(true);
      expect(await fixture.store.definitions.apply()).toEqual([TOPIC]);
      await expectApplied(null);
      expect(await countDefinitions()).toBe(0);
    });

    it('that a handler does not set leave those of another live process', async () => {
      await declare(first);
      expect(await handleTopics(fixture.store, TOPIC)).toEqual([]);
      await expectApplied(first);
    });

    it('are first seen after the others, although the clock of the database was set back', async () => {
      await declare(first);
      await setTime('first_seen', HOUR);
      await declare(second);
      await expectApplied(second);
    });
  });

  describe.each(kindsOfDefinitions)('%s, when a process settles after an outage or its start', (of) => {
    const [first, second, third] = versions[of];
    const declareSettling = (definition: Definition): Promise<string[]> =>
      fixture.store.definitions.declare([definition], true);
    const expectApplied = async (definition: Definition): Promise<void> =>
      expect(await readRow(fixture, of)).toEqual(JSON.parse(definition.json));

    it('stay as they are until it has settled, although only the older version has declared its own again', async () => {
      await declare(first);
      await declare(second);
      await orphanDefinitions(fixture);
      expect(await declareSettling(first)).toEqual([]);
      expect(await fixture.store.definitions.state([first], true)).toMatchObject({ areTopicsDue: false });
      await expectApplied(second);
      expect(await fixture.store.definitions.apply()).toEqual([TOPIC]);
      await expectApplied(first);
    });

    it('do not end when a process handles the topic and declares nothing', async () => {
      await declare(first);
      await orphanDefinitions(fixture);
      await fixture.store.reports.recordWorker('w', [TOPIC], WORKER_DETAILS);
      expect(await fixture.store.definitions.apply(true)).toEqual([]);
      await expectApplied(first);
    });

    it('are replaced at once by those of a new version', async () => {
      await declare(first);
      await orphanDefinitions(fixture);
      expect(await declareSettling(second)).toEqual([TOPIC]);
      await expectApplied(second);
    });

    it('do not come back when they had ended before', async () => {
      await declare(first);
      await declare(third);
      await orphan(third);
      await fixture.store.definitions.apply();
      await orphanDefinitions(fixture);
      expect(await declareSettling(first)).toEqual([]);
      await expectApplied(first);
    });

    it('are not deleted, however old they look', async () => {
      await declare(first);
      await declare(second);
      await orphanDefinitions(fixture, { ageMs: DEFINITION_AGE_MS + HOUR });
      expect((await fixture.store.definitions.state([], true)).isPruneDue).toBe(false);
      await declareSettling(first);
      expect(await countDefinitions()).toBe(2);
      await expectApplied(second);
    });
  });

  it('of schedules stay when a process settles, and those of a new version apply', async () => {
    const [first, second, third] = ['0 1 * * *', '0 2 * * *', '0 3 * * *'].map((pattern) =>
      toDefinition('schedule', 'nightly', { pattern }),
    );
    await declare(first!);
    await declare(second!);
    const stored = (await fixture.store.definitions.pendingSchedules())[0]!.json;
    await fixture.sql(
      `INSERT INTO _jobs_schedules (name, definition, source, next_tick) VALUES ('nightly', '${stored}', 'code', NULL)`,
    );
    await orphanDefinitions(fixture);
    await fixture.store.definitions.declare([first!], true);
    expect(await fixture.store.definitions.pendingSchedules(true)).toEqual([]);
    expect(await fixture.store.definitions.pendingSchedules()).toEqual([
      { name: 'nightly', json: expect.stringContaining('0 1 *') as string },
    ]);
    await fixture.store.definitions.declare([third!], true);
    expect(await fixture.store.definitions.pendingSchedules(true)).toEqual([
      { name: 'nightly', json: expect.stringContaining('0 3 *') as string },
    ]);
  });

  it('that were declared before the clock of the database was set back are not live for ever', async () => {
    await declare(versions.limits[0]);
    await setTime('declared', HOUR);
    expect(await handleTopics(fixture.store, TOPIC)).toEqual([TOPIC]);
    // A live process declares them again.
    await fixture.store.reports.recordWorker('w', [TOPIC], WORKER_DETAILS, null, [versions.limits[0]]);
    expect(await fixture.store.definitions.apply()).toEqual([TOPIC]);
  });

  it('are renewed together with the record of the process', async () => {
    const [first, second] = versions.limits;
    await declare(first, second);
    await orphanDefinitions(fixture);
    const { hasDefinitions } = await fixture.store.reports.recordWorker('w', [TOPIC], WORKER_DETAILS, null, [first]);
    expect(hasDefinitions).toBe(true);
    expect(await fixture.store.limits.list(TOPIC)).toMatchObject([{ live: { limits: 1 } }]);
    const [declared] = await fixture.sql(
      `SELECT d.declared <= w.seen AS ok FROM _jobs_definitions d, _jobs_workers w WHERE d.hash = '${first.hash}'`,
    );
    expect(declared).toMatchObject({ ok: kind.locksRows ? true : 1 });
  });

  it('of a process are compared with those that apply, in one statement', async () => {
    const [first, second] = versions.limits;
    const retention = versions.retention[0];
    const state = (...refs: Definition[]) => fixture.store.definitions.state(refs);
    expect(await state()).toEqual({
      known: 0,
      superseded: [],
      areTopicsDue: false,
      areSchedulesDue: false,
      isPruneDue: false,
    });
    await declare(first, retention);
    await declare(second);
    expect(await state(first, retention)).toMatchObject({ known: 2, superseded: [{ kind: 'limits', name: TOPIC }] });
    expect(await state(second, versions.dead_letters[0])).toMatchObject({ known: 1, superseded: [] });
    await orphan(second);
    expect(await state(first)).toMatchObject({ superseded: [], areTopicsDue: true });
    await fixture.store.definitions.apply();
    expect(await state(first)).toMatchObject({ areTopicsDue: false });
    await declare(toDefinition('schedule', 'nightly', { pattern: '@daily' }));
    expect(await state()).toMatchObject({ areTopicsDue: false, areSchedulesDue: true });
    expect(await fixture.store.definitions.pendingSchedules()).toEqual([
      { name: 'nightly', json: expect.stringContaining('@daily') as string },
    ]);
  });

  it('are bounded: of a name at most twenty stay that no live process declares', async () => {
    for (let concurrency = 1; concurrency <= 25; concurrency += 1) {
      await declareTopics(fixture.store, [{ topic: TOPIC, limits: { concurrency } }]);
      await orphanDefinitions(fixture, { where: '1 = 1', ageMs: HOUR - concurrency * 1_000 });
    }
    await declareTopics(fixture.store, [{ topic: TOPIC, limits: { concurrency: 100 } }]);
    expect(await countDefinitions()).toBeLessThanOrEqual(21);
    expect((await fixture.store.limits.list(TOPIC))[0]!.code).toEqual({ concurrency: 100 });
  });

  it('do not differ in the order of members, nor in members that are null', () => {
    const one = toDefinition('schedule', 's', { a: 1, b: { c: 2, d: [3] } });
    expect(toDefinition('schedule', 's', { b: { d: [3], c: 2 }, a: 1 })).toEqual(one);
    expect(toDefinition('schedule', 's', { a: 1, b: { c: 2, d: [3] }, e: null }).hash).toBe(one.hash);
    expect(toDefinition('schedule', 's', { a: 1, b: { c: 2, d: [4] } }).hash).not.toBe(one.hash);
  });

  it('leave the limits of an operator in force', async () => {
    await declare(versions.limits[0]);
    await fixture.store.limits.set(TOPIC, { concurrency: 7 });
    await declare(versions.limits[1]);
    const read = () => fixture.sql<{ limit_total: number }>('SELECT limit_total FROM _jobs_topics');
    expect(await read()).toEqual([{ limit_total: 7 }]);
    await fixture.store.limits.set(TOPIC, null);
    expect(await read()).toEqual([{ limit_total: 2 }]);
  });

  if (kind.canHaveTwoConnections) {
    it('of processes that start at once are applied as if one had started after the other', async () => {
      const stores = [fixture.store, (await fixture.openAnother()).store, (await fixture.openAnother()).store];
      const names = Array.from({ length: 20 }, (_, index) => `topic-${index}`);
      for (let round = 0; round < 5; round += 1) {
        const definitionsOf = (index: number): Definition[] =>
          names.flatMap((topic) => toDefinitions({ topic, limits: { concurrency: 10 * round + index + 1 } }));
        await Promise.all(stores.map((store, index) => store.definitions.declare(definitionsOf(index))));
        expect((await fixture.store.definitions.state([])).areTopicsDue).toBe(false);
      }
    });
  }
});
