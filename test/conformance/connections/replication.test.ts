import { createJobStore } from 'nestjs-jobs';
import { DataSource } from 'typeorm';
import { newJob } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';

const CURRENT = 'SELECT current_database() AS name';

const kind = storeKinds().find(({ locksRows }) => locksRows)!;

describe('a DataSource with replicas', () => {
  const fixture = useStore(kind);

  it('gets all reads and writes of the queue on its primary', async () => {
    const { url } = fixture.app.options as { url: string };
    const replica = new URL(url);
    // The replica has no table of the queue.
    replica.pathname = 'postgres';
    const app = new DataSource({ type: 'postgres', replication: { master: { url }, slaves: [{ url: replica.href }] } });
    await app.initialize();
    const { store } = createJobStore(app);
    try {
      await store.open();
      const reader = app.createQueryRunner('slave');
      expect(await reader.query(CURRENT)).toEqual([{ name: 'postgres' }]);
      await reader.release();
      const inserted = await store.insert([newJob()]);
      const inTransaction = await app.transaction((tx) => store.insert([newJob()], tx));
      const ids = [...inserted, ...inTransaction].map(({ id }) => id);
      expect(await store.find(ids)).toHaveLength(ids.length);
    } finally {
      await store.close();
      await app.destroy();
    }
  });
});
