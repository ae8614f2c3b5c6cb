import { JobsEngine } from 'nestjs-jobs';
import type { TablesInUse } from '../../../lib/engine/maintain/table-sweepers.js';
import { TableSweepers } from '../../../lib/engine/maintain/table-sweepers.js';
import type { JobStore } from '../../../lib/store/job-store.js';
import { outcomes, settlement } from '../../support/job-rows.js';
import { claimByRef, enqueueLinked, linkedJob, settleAll, settleOne } from '../../support/linked-jobs.js';
import { overrideLogs, overrideStore } from '../../support/override-store.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { logParts } from '../../support/unit/log-parts.js';
import { RecordingLogger } from '../../support/unit/recording-logger.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';
import { until } from '../../support/wait.js';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
/** More than 20 pages. */
const ORPHANS = 21_500;

describe.each(storeKinds())('rows beside those of jobs, on $label', (kind) => {
  const fixture = useStore(kind);
  const tables = ['_jobs_logs', '_jobs_links', '_jobs_groups'] as const;

  beforeEach(async () => {
    for (const table of ['_jobs', ...tables]) {
      await fixture.sql(`DELETE FROM ${table}`);
    }
  });

  const count = async (table: string): Promise<number> =>
    Number((await fixture.sql<{ count: string | number }>(`SELECT count(*) AS count FROM ${table}`))[0]!.count);
  const writeLine = (...ids: string[]): Promise<void> =>
    fixture.store.logs.write(
      ids.map((id) => ({
        token: { id, attempt: 1 },
        lines: [{ line: 1, level: 'info', message: 'm', data: null, ageMs: 0 }],
      })),
      200,
    );
  const loggedJobs = async (): Promise<string[]> =>
    (await fixture.sql<{ id: string }>('SELECT job_id AS id FROM _jobs_logs ORDER BY job_id')).map(({ id }) => id);

  describe('of pruned jobs', () => {
    let engine: JobsEngine | undefined;

    afterEach(() => engine?.close());

    const prune = (store: JobStore = fixture.store): Promise<{ removed: number }> =>
      new JobsEngine({ store, role: 'producer', retention: { completed: '7d', failed: false } }).prune();

    /** Ends two parents, one of them too old to stay, and a child of both. Each has a line. */
    const createFamily = async (): Promise<Record<string, string>> => {
      const ids = await enqueueLinked(fixture.store, [
        linkedJob('old'),
        linkedJob('young'),
        linkedJob('child', ['old', 'young']),
        linkedJob('grandchild', ['child']),
      ]);
      await writeLine(...Object.values(ids));
      const { old, young } = await claimByRef(fixture.store);
      await settleAll(
        fixture.store,
        [old!, young!].map((token) => settlement(token, outcomes.completed())),
      );
      await settleOne(fixture.store, (await claimByRef(fixture.store)).child!);
      await settleOne(fixture.store, (await claimByRef(fixture.store)).grandchild!);
      return ids;
    };
    const age = (...ids: (string | undefined)[]): Promise<void> =>
      fixture.set(
        ids.map((id) => id!),
        { created: { msFromNow: -9 * DAY }, finished: { msFromNow: -8 * DAY } },
      );

    it('are deleted with the page of jobs: their lines, and the links to their parents', async () => {
      const { old, young, child, grandchild } = await createFamily();
      await age(old, child);
      expect(await prune()).toMatchObject({ removed: 2 });
      expect(await loggedJobs()).toEqual([young, grandchild].sort());
      // A link stays as long as the child.
      expect(await fixture.sql('SELECT parent_id, child_id FROM _jobs_links')).toEqual([
        { parent_id: child, child_id: grandchild },
      ]);
      await age(young, grandchild);
      await prune();
      expect(await Promise.all(tables.map(count))).toEqual([0, 0, 0]);
    });

    it('are deleted by a running worker, too', async () => {
      await createFamily();
      engine = new JobsEngine({ store: fixture.store, retention: { completed: '1s', failed: false } });
      engine.register('none', () => undefined);
      await engine.start();
      // The first pass may begin before the worker knows that there are lines.
      await until(async () => (await count('_jobs')) === 0, { message: 'the first prune' });
      const later = await createFamily();
      await until(async () => (await count('_jobs')) === 0, { message: 'the second prune' });
      await until(async () => !(await loggedJobs()).some((id) => Object.values(later).includes(id)));
    });

    it('are left to the sweeps when the database refuses to delete them', async () => {
      const { old } = await createFamily();
      await age(old);
      const logs = overrideLogs(fixture.store.logs, { delete: () => Promise.reject(new Error('for the test')) });
      expect(await prune(overrideStore(fixture.store, { logs }))).toMatchObject({ removed: 1 });
      expect(await loggedJobs()).toContain(old);
      expect(await fixture.store.logs.prune(null)).toEqual({ removed: 1, next: null });
      expect(await loggedJobs()).not.toContain(old);
    });
  });

  describe('of jobs that are gone', () => {
    const clock = new VirtualClock();
    const logger = new RecordingLogger();
    let sweepers: TableSweepers;

    const start = (inUse: TablesInUse): void => {
      sweepers = new TableSweepers({ store: fixture.store, ...logParts(clock, logger), random: () => 0.5 });
      sweepers.onPresence(inUse);
      sweepers.start();
    };
    afterEach(() => sweepers.stop());

    /** Inserts rows of jobs that do not exist. Their ids come before those of any job. */
    const insertOrphans = async (): Promise<void> => {
      const number = kind.locksRows ? `lpad(n::text, 12, '0')` : `printf('%012d', n)`;
      const orphan = (prefix: number): string => {
        const id = `'0${prefix}000000-0000-7000-8000-' || ${number}`;
        return kind.locksRows ? `(${id})::uuid` : id;
      };
      const time = kind.locksRows ? 'now()' : `strftime('%Y-%m-%d %H:%M:%f', 'now')`;
      const numbers = `WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < ${ORPHANS})`;
      await fixture.sql(`INSERT INTO _jobs_logs (job_id, attempt, line, level, message, time)
        ${numbers} SELECT ${orphan(0)}, 1, 1, 'info', 'm', ${time} FROM r`);
      await fixture.sql(`INSERT INTO _jobs_links (parent_id, child_id, mode, position, outcome)
        ${numbers} SELECT ${orphan(0)}, ${orphan(0)}, 'cancel', 0, 'completed' FROM r`);
      await fixture.sql(`INSERT INTO _jobs_groups (id, finished) ${numbers} SELECT ${orphan(1)}, ${time} FROM r`);
    };

    it('are deleted in one pass, however many pages they fill', async () => {
      const { b } = await enqueueLinked(fixture.store, [linkedJob('a'), linkedJob('b', ['a'])]);
      await writeLine(b!);
      await new JobsEngine({ store: fixture.store, role: 'producer' }).groups.enqueue([linkedJob('c')]);
      const kept = await Promise.all(tables.map(count));
      await insertOrphans();
      start({ hasLinks: true, hasLogs: true });
      await clock.advance(MINUTE);
      const sinceMs = clock.now();
      await until(async () => {
        await clock.advance(50);
        return (await Promise.all(tables.map(count))).every((rows, index) => rows === kept[index]);
      });
      expect(clock.now() - sinceMs).toBeLessThan(MINUTE);
      expect(logger.of('error')).toEqual([]);
    }, 30_000);

    it('are not looked for when no job has links or lines', async () => {
      await insertOrphans();
      start({ hasLinks: false, hasLogs: false });
      await clock.advance(2 * MINUTE);
      expect(await Promise.all(tables.map(count))).toEqual([ORPHANS, ORPHANS, ORPHANS]);
    });
  });
});
