import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { JobsEngine, UnrecoverableError } from 'nestjs-jobs';
import type { JobsOptions } from 'nestjs-jobs';
import { codeBlocksOf } from '../../scripts/code-blocks.cjs';
import type { AppParts } from './support/apps.js';
import { useApps } from './support/apps.js';
import { postgres } from './support/database-kinds.js';
import { textWith } from './support/matchers.js';

const PAGE = join(__dirname, '../../docs/guide/running-in-production.md');
/** The two GRANT statements of the guide: for the tables, and for the table of migrations. */
const [TABLES, MIGRATIONS] = codeBlocksOf(PAGE)
  .flatMap(({ code }) => code.split('\n'))
  .filter((line) => line.includes('GRANT ')) as [string, string];

describe('a role that owns no table, on PostgreSQL', () => {
  const apps = useApps(postgres);
  let grant: (statement: string) => Promise<unknown>;
  let asRole: (options: JobsOptions) => AppParts;

  beforeEach(async () => {
    const { dataSource: owner } = await apps.start({ options: { role: 'producer' } });
    const role = `app_${randomUUID().slice(0, 8)}`;
    await owner.query(`CREATE ROLE ${role} LOGIN PASSWORD 'secret'`);
    apps.afterwards(() => owner.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`));
    grant = (statement) => owner.query(statement.replace(' TO app;', ` TO ${role};`));
    const address = new URL((apps.address as { url: string }).url);
    Object.assign(address, { username: role, password: 'secret' });
    const typeOrm = { url: address.href, synchronize: false } as object;
    asRole = (options) => ({ typeOrm, options });
  });

  it.each([true, false])('can use the whole queue with the GRANTs of the guide, migrate: %s', async (migrate) => {
    await grant(TABLES);
    if (migrate) await grant(MIGRATIONS);
    const app = await apps.start(asRole({ migrate, pollInterval: 50 }));
    const { jobs } = app;
    jobs.register('work', (job) => job.progress(1).then(() => 'done'));
    jobs.register('fail', () => Promise.reject(new UnrecoverableError('failed')));
    const done = await jobs.enqueue('work', null, { uniqueKey: 'a' });
    expect(await app.jobAfter('completed', done.id)).toMatchObject({ result: 'done' });
    const failed = await app.dataSource.transaction((manager) => jobs.enqueueTx(manager, 'fail', null));
    await app.event('failed', failed.id);
    await jobs.requeue(failed.id);
    await app.event('failed', failed.id, 2);
    await jobs.pause('work');
    const [waiting, late] = await jobs.enqueueMany([
      { topic: 'work', payload: 1 },
      { topic: 'work', payload: 2, delay: '1d' },
    ]);
    await jobs.cancel(waiting!.id);
    await jobs.delete(failed.id);
    await jobs.resume('work');
    await jobs.promote(late!.id);
    await app.event('completed', late!.id);
    expect(await jobs.stats()).toMatchObject({ completed: 2 });
    expect((await jobs.list({ topic: 'work' })).items).toHaveLength(3);
    const engine = app.module.get(JobsEngine, { strict: false });
    expect(await engine.bulk.run({ action: 'delete', filter: { topic: 'work' } })).toMatchObject({ changed: 3 });
    await app.close();
    expect(apps.log.of('error')).toEqual([]);
    expect(apps.log.of('warn')).not.toContainEqual(textWith('denied'));
  });

  it('receives an error that names the table it cannot read', async () => {
    await grant(TABLES);
    expect((await apps.refusal(asRole({}))).message).toMatch(
      /^JobsModule.forRoot: migrate: .*permission denied for table _jobs_migrations/,
    );
  });
});
