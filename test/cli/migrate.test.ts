import { randomUUID } from 'node:crypto';
import { jobsMigrations } from 'nestjs-jobs';
import type { DataSource } from 'typeorm';
import { readCatalog } from '../support/catalog.js';
import type { EmptyDatabase } from '../support/stores.js';
import { openStore } from '../support/stores.js';
import { reachableKinds, readJson, runCommand, toUrl } from './support/command.js';

const NAMES = jobsMigrations.map(({ name }) => name).join(', ');

describe.each(reachableKinds())('migrate on $label', (kind) => {
  let database: EmptyDatabase;
  let app: DataSource;

  beforeEach(async () => {
    database = await kind.createDatabase();
    app = await database.app().initialize();
  });
  afterEach(async () => {
    await app.destroy();
    await database.remove();
  });

  const migrate = (...args: string[]): ReturnType<typeof runCommand> =>
    runCommand(['migrate', ...args, '--url', toUrl(app)]);

  it('creates the tables once, as an application does', async () => {
    expect(await migrate('--check')).toEqual({
      code: 3,
      out: `the tables are behind; missing: ${NAMES}\n`,
      err: '',
    });
    expect(await migrate()).toEqual({ code: 0, out: `applied ${NAMES}\n`, err: '' });
    expect(await migrate()).toEqual({ code: 0, out: 'the tables are up to date\n', err: '' });
    expect((await migrate('--check')).code).toBe(0);

    const other = await kind.createDatabase();
    const opened = await openStore(other);
    expect(await readCatalog(app)).toEqual(await readCatalog(opened.app));
    await opened.close();
    await other.remove();
  });

  it('--dry-run prints SQL that creates the same tables, and changes nothing', async () => {
    const before = await readCatalog(app);
    const { code, out } = await migrate('--dry-run');
    expect(code).toBe(0);
    expect(await readCatalog(app)).toEqual(before);
    for (const statement of out.split(';\n\n')) {
      await app.query(statement);
    }
    expect((await migrate('--check')).code).toBe(0);
    expect((await migrate('--dry-run')).out).toBe('-- the tables are up to date\n');
    expect(await readJson(['status'], toUrl(app))).toMatchObject({ stats: { total: 0 } });
  });

  it('takes tables that the migrations of the application have created as up to date', async () => {
    const own = await database.app({ migrations: jobsMigrations, migrationsTableName: 'app_migrations' }).initialize();
    await own.runMigrations();
    await own.destroy();
    expect(await migrate('--check')).toEqual({ code: 0, out: 'the tables are up to date\n', err: '' });
  });

  it('reports a dropped table, and what to do', async () => {
    await migrate();
    await app.query('DROP TABLE _jobs_topics');
    expect(await migrate('--check')).toMatchObject({ code: 3, out: expect.stringContaining('is missing') as string });
    const { code, err } = await migrate();
    expect(code).toBe(1);
    expect(err).toContain('drop _jobs_migrations');
  });

  it('the other verbs name it when the tables are missing', async () => {
    const { code, err } = await runCommand(['status', '--url', toUrl(app)]);
    expect(code).toBe(1);
    expect(err).toContain("run 'nestjs-jobs migrate'");
  });

  if (kind.hasNotifications) {
    it('--check needs no right to read the list of migrations', async () => {
      await migrate();
      const role = `role_${randomUUID().replaceAll('-', '')}`;
      await app.query(`CREATE ROLE ${role} LOGIN PASSWORD 'secret'`);
      await app.query(`GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ${role}`);
      await app.query(`REVOKE ALL ON _jobs_migrations FROM ${role}`);
      const url = Object.assign(new URL(toUrl(app)), { username: role, password: 'secret' }).href;
      expect(await runCommand(['migrate', '--check', '--url', url])).toMatchObject({ code: 0, err: '' });
      expect(await runCommand(['doctor', '--url', url])).toMatchObject({ code: 0, err: '' });
      await app.query(`DROP OWNED BY ${role}`);
      await app.query(`DROP ROLE ${role}`);
    });

    it('--schema names the schema of the tables', async () => {
      const other = ['--schema', 'my "jobs"'];
      expect(await migrate(...other)).toMatchObject({ code: 1, err: expect.stringContaining('schema') as string });
      await app.query('CREATE SCHEMA "my ""jobs"""');
      expect((await migrate(...other)).code).toBe(0);
      expect(await app.query('SELECT count(*)::int AS jobs FROM "my ""jobs"""._jobs')).toEqual([{ jobs: 0 }]);
      for (const verb of ['status', 'doctor']) {
        expect(await runCommand([verb, ...other, '--url', toUrl(app)])).toMatchObject({ code: 0, err: '' });
      }
      expect((await migrate('--check')).code).toBe(3);
    });
  }
});
