import { RowLockedError } from '../../../lib/core/errors.js';
import type { JobStore } from '../../../lib/store/job-store.js';
import type { InsertedJob, JobInsert } from '../../../lib/store/jobs/job-records.js';
import { newJob } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { until } from '../../support/wait.js';

/** More jobs than fit into one statement. */
const MANY = 2_500;
const REPETITIONS = 3;

const createKeyedJobs = (): JobInsert[] =>
  Array.from({ length: MANY }, (_, index) => newJob({ topic: `topic ${index % 3}`, uniqueKey: `key ${index}` }));

/** Repeats the call while another process, which may get no turn for a while, holds a lock of these keys. */
const insertInTheEnd = async (store: JobStore, jobs: JobInsert[]): Promise<InsertedJob[]> =>
  (await until(() =>
    store.insert(jobs).catch((error: unknown) => {
      if (!(error instanceof RowLockedError)) throw error;
      return undefined;
    }),
  ))!;

describe.each(storeKinds().filter(({ locksRows }) => locksRows))('transactions of the queue on $label', (kind) => {
  const fixture = useStore(kind);

  it('that store the same keys in opposite orders never deadlock', async () => {
    const { store: other } = await fixture.openAnother();
    for (let repetition = 0; repetition < REPETITIONS; repetition += 1) {
      const [mine, theirs] = [createKeyedJobs(), createKeyedJobs().reverse()];
      const [here, there] = await Promise.all([insertInTheEnd(fixture.store, mine), insertInTheEnd(other, theirs)]);
      // Both return ids in the order of the caller; the first insert stores the job for both.
      const holders = new Map(mine.map(({ uniqueKey }, index) => [uniqueKey, here[index]!.id]));
      expect(there.map(({ id }) => id)).toEqual(theirs.map(({ uniqueKey }) => holders.get(uniqueKey)));
      expect([...here, ...there].filter(({ deduplicated }) => deduplicated)).toHaveLength(MANY);
      await fixture.sql('DELETE FROM _jobs');
    }
  });

  it('are retried after a deadlock', async () => {
    await fixture.sql('CREATE SEQUENCE tries');
    await fixture.sql(`
      CREATE FUNCTION fail_twice() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF nextval('tries') <= 2 THEN RAISE 'a deadlock' USING ERRCODE = '40P01'; END IF;
        RETURN NULL;
      END $$`);
    await fixture.sql(
      'CREATE TRIGGER fail_twice AFTER INSERT ON _jobs FOR EACH STATEMENT EXECUTE FUNCTION fail_twice()',
    );
    const jobs = createKeyedJobs();
    const inserted = await fixture.store.insert(jobs);
    expect(inserted.map(({ id }) => id)).toEqual(jobs.map(({ id }) => id));
    expect(await fixture.sql('SELECT count(*)::int AS count FROM _jobs')).toEqual([{ count: MANY }]);
  });
});
