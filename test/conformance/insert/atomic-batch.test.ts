import { newJob } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { SQLITE3 } from '../../support/typeorm.js';

describe.each(storeKinds())('a batch of which the database silently drops one job, on $label', (kind) => {
  const fixture = useStore(kind);

  const dropJobs = async (topic: string): Promise<void> => {
    if (kind.locksRows) {
      await fixture.sql(`CREATE FUNCTION drop_job() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$`);
      await fixture.sql(
        `CREATE TRIGGER drop_job BEFORE INSERT ON _jobs FOR EACH ROW WHEN (NEW.topic = '${topic}') EXECUTE FUNCTION drop_job()`,
      );
      return;
    }
    await fixture.sql(
      `CREATE TRIGGER drop_job BEFORE INSERT ON _jobs WHEN NEW.topic = '${topic}' BEGIN SELECT RAISE(IGNORE); END`,
    );
  };

  afterEach(async () => {
    await fixture.sql(kind.locksRows ? 'DROP FUNCTION IF EXISTS drop_job CASCADE' : 'DROP TRIGGER IF EXISTS drop_job');
  });

  it('is rejected and stores no job', async () => {
    await dropJobs('dropped');
    const kept = newJob();
    await expect(fixture.store.insert([kept, newJob({ topic: 'dropped' })])).rejects.toMatchObject({ kind: 'refused' });
    // sqlite3 cannot hold a transaction over several statements (docs/adr/0002-sqlite-write-queues.md).
    const stored = fixture.app.options.type === SQLITE3 ? 1 : 0;
    expect(await fixture.store.find([kept.id])).toHaveLength(stored);
  });
});
