import Database from 'better-sqlite3';
import { DataSource } from 'typeorm';
import { v7 as uuidv7 } from 'uuid';
import { readSchedule } from '../../lib/core/schedule.js';
import { toDefinition } from '../../lib/store/definitions/definition-records.js';
import { orphanDefinitions } from '../support/declared.js';
import { insertOne, WORKER_DETAILS } from '../support/job-rows.js';
import { openStore, useStore } from '../support/stores.js';
import { until } from '../support/wait.js';
import { reachableKinds, readJson, runCommand, toUrl } from './support/command.js';

interface Check {
  readonly check: string;
  readonly ok: boolean;
  readonly text: string;
  readonly advice: string | null;
}

const HOUR = 3_600_000;

describe.each(reachableKinds())('doctor on $label', (kind) => {
  const fixture = useStore(kind);
  const isPostgres = kind.hasNotifications;

  afterEach(async () => {
    await fixture.sql('DELETE FROM _jobs_workers');
    await fixture.sql('DELETE FROM _jobs_schedules');
  });

  const examine = (...args: string[]): Promise<{ ok: boolean; checks: Check[] }> =>
    readJson(['doctor', ...args], toUrl(fixture.app));

  /** Expects that exactly this check fails, and returns its text. */
  async function expectFault(check: string, ...args: string[]): Promise<string> {
    const { ok, checks } = await readJson<{ ok: boolean; checks: Check[] }>(['doctor', ...args], toUrl(fixture.app), 3);
    const failed = checks.filter((each) => !each.ok);
    expect(ok).toBe(false);
    expect(failed.map((each) => each.check)).toEqual([check]);
    expect(failed[0]!.advice).toMatch(/\.$|;$/);
    return failed[0]!.text;
  }

  /** Inserts waiting jobs with a payload of this many bytes. */
  async function fill(jobs: number, payloadBytes: number, app = fixture.app): Promise<void> {
    const payload = `'"${'x'.repeat(payloadBytes)}"'`;
    const ids = Array.from({ length: jobs }, () => `('${uuidv7()}', 'mail', ${payload})`);
    for (let start = 0; start < jobs; start += 500) {
      await app.query(`INSERT INTO _jobs (id, topic, payload) VALUES ${ids.slice(start, start + 500).join(', ')}`);
    }
  }

  async function createSchedule(name: string): Promise<void> {
    const definition = readSchedule('0 3 * * *', { topic: 'report' });
    await fixture.store.schedules.put({ name, definition, source: 'code', revision: null, nextTick: null });
    await fixture.store.definitions.declare([toDefinition('schedule', name, definition)]);
  }

  it('finds nothing in a healthy queue, and exits with 0', async () => {
    const id = await insertOne(fixture.store);
    await fixture.store.reports.recordWorker('worker', ['mail'], WORKER_DETAILS);
    await createSchedule('Reports.nightly');
    const { ok, checks } = await examine();
    expect(checks.filter((each) => !each.ok)).toEqual([]);
    expect(ok).toBe(true);
    const expected = ['schema', 'clock', 'autovacuum', 'bloat', 'snapshots', 'follow-ups', 'topics', 'schedules'];
    expect(checks.map(({ check }) => check)).toEqual(expected.filter((name) => isPostgres || name !== 'autovacuum'));
    const { code, out } = await runCommand(['doctor', '--url', toUrl(fixture.app)]);
    expect(code).toBe(0);
    expect(out.match(/^ok /gm)).toHaveLength(checks.length);
    await fixture.store.delete([id]);
  });

  it('finds tables that are behind, and checks nothing else', async () => {
    const empty = await kind.createDatabase();
    const app = await empty.app().initialize();
    const { checks } = await readJson<{ checks: Check[] }>(['doctor'], toUrl(app), 3);
    expect(checks).toMatchObject([
      { check: 'schema', ok: false, advice: expect.stringContaining('migrate') as string },
    ]);
    await app.destroy();
    await empty.remove();
  });

  it('finds a missing column', async () => {
    const old = await kind.createDatabase();
    const opened = await openStore(old);
    await opened.app.query('ALTER TABLE _jobs_definitions DROP COLUMN declared');
    const { checks } = await readJson<{ checks: Check[] }>(['doctor'], toUrl(opened.app), 3);
    expect(checks).toMatchObject([{ check: 'schema', text: expect.stringContaining('a column is missing') as string }]);
    await opened.close();
    await old.remove();
  });

  it.each([
    ['behind', HOUR],
    ['ahead of', -HOUR],
  ])('finds a database whose clock is %s that of this machine', async (direction, offsetMs) => {
    const { code, out } = await runCommand(['doctor', '--url', toUrl(fixture.app)], {
      now: () => Date.now() + offsetMs,
    });
    expect(code).toBe(3);
    expect(out).toMatch(new RegExp(`FAIL +clock: the clock of the database is (59m 59s|1h) ${direction} the clock`));
  });

  it('finds a topic without a handler', async () => {
    await insertOne(fixture.store, { topic: 'mial' });
    await insertOne(fixture.store);
    await fixture.store.reports.recordWorker('worker', ['mail'], WORKER_DETAILS);
    expect(await expectFault('topics')).toContain("'mial' (1 job)");
  });

  it('finds jobs whose end was not followed up for long', async () => {
    const [late, recent] = [await insertOne(fixture.store), await insertOne(fixture.store)];
    await fixture.set(late, { status: 'failed', finished: { msFromNow: -90_000 }, watched: 0 });
    await fixture.set(recent, { status: 'failed', finished: { msFromNow: -10_000 }, watched: 0 });
    expect(await expectFault('follow-ups')).toMatch(
      new RegExp(`^the end of 1 job was not followed up, for 1m 3\\ds: ${late} of 'mail'$`),
    );
    await fixture.sql('DELETE FROM _jobs');
  });

  it('finds a schedule that no process declares', async () => {
    await createSchedule('Reports.nightly');
    await createSchedule('Reports.hourly');
    await orphanDefinitions(fixture, { where: "name = 'Reports.nightly'" });
    const text = await expectFault('schedules');
    expect(text).toContain("'Reports.nightly' (never fired)");
    expect(text).not.toContain('hourly');
  });

  if (isPostgres) {
    it('finds a table without autovacuum', async () => {
      await fixture.sql('ALTER TABLE _jobs SET (autovacuum_enabled = off)');
      expect(await expectFault('autovacuum')).toContain('off for _jobs');
      await fixture.sql('ALTER TABLE _jobs RESET (autovacuum_enabled)');
      expect((await examine()).ok).toBe(true);
    });

    it('finds dead rows', async () => {
      await fixture.sql('ALTER TABLE _jobs SET (autovacuum_enabled = off)');
      // A session reports its statistics at its end.
      const writer = await new DataSource(fixture.app.options).initialize();
      await fill(12_000, 1, writer);
      await writer.query('DELETE FROM _jobs');
      await writer.destroy();
      const failed = async (): Promise<string[]> => {
        const { out } = await runCommand(['doctor', '--json', '--url', toUrl(fixture.app)]);
        const { checks } = JSON.parse(out) as { checks: Check[] };
        return checks.filter(({ ok }) => !ok).map(({ check }) => check);
      };
      await until(async () => (await failed()).includes('bloat'), { message: 'statistics of dead rows' });
      await fixture.sql('VACUUM _jobs');
      await until(async () => !(await failed()).includes('bloat'), { message: 'statistics of the vacuum' });
      await fixture.sql('ALTER TABLE _jobs RESET (autovacuum_enabled)');
    });

    it('finds a transaction that holds a snapshot', async () => {
      const transaction = await fixture.begin();
      await transaction.manager.query('SELECT txid_current()');
      expect(await expectFault('snapshots', '--held-for', '0ms')).toMatch(
        /session \d+ of role \w+.*, idle in transaction, for/,
      );
      expect((await examine()).ok).toBe(true);
      await transaction.rollback();
      expect((await examine('--held-for', '0ms')).ok).toBe(true);
    });
  } else {
    it('finds free pages', async () => {
      await fill(3_000, 4_000);
      await fixture.sql('DELETE FROM _jobs');
      expect(await expectFault('bloat')).toMatch(/^3,\d+ free pages/);
      await fixture.sql('VACUUM');
      expect((await examine()).ok).toBe(true);
    });

    it('finds a transaction that reads for long', async () => {
      await insertOne(fixture.store);
      await fixture.store.reports.recordWorker('worker', ['mail'], WORKER_DETAILS);
      const reader = new Database(String(fixture.app.options.database));
      reader.exec('BEGIN');
      reader.prepare('SELECT count(*) FROM _jobs').get();
      await fill(6_000, 4_000);
      expect(await expectFault('snapshots')).toMatch(/reads, which keeps \d+ pages/);
      reader.exec('COMMIT');
      expect((await examine()).ok).toBe(true);
      reader.close();
    });
  }
});
