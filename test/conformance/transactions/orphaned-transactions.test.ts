import { createJobStore } from 'nestjs-jobs';
import type { EntityManager } from 'typeorm';
import { DataSource } from 'typeorm';
import { newJob } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { TcpProxy } from '../../support/tcp-proxy.js';
import { until } from '../../support/wait.js';

describe.each(storeKinds().filter(({ locksRows }) => locksRows))(
  'locks of a process whose machine is gone, on $label',
  (kind) => {
    const fixture = useStore(kind);
    let close: () => Promise<void>;

    afterEach(() => close());

    it('are released soon', async () => {
      const proxy = TcpProxy.before((fixture.app.options as { url: string }).url);
      await proxy.open();
      const app = await new DataSource({ type: 'postgres', url: proxy.url }).initialize();
      const { store } = createJobStore(app, { lease: '5s' });
      await store.open();
      close = async () => {
        await Promise.all([store.close(), proxy.close()]);
        await app.destroy();
      };

      const gone = proxy.cutNext('COMMIT', 'untold');
      const keys = ['invoice 1', 'invoice 2'];
      const lost = store.insert(keys.map((uniqueKey) => newJob({ uniqueKey }))).catch((error: unknown) => error);
      await gone;
      const isStored = (): Promise<boolean> =>
        fixture.store.insert([newJob({ uniqueKey: keys[0]! })]).then(
          ([job]) => job!.deduplicated === false,
          () => false,
        );
      expect(await isStored()).toBe(false);
      await until(isStored, { message: 'the key' });

      await lost;
    });
  },
);

interface Connected {
  connect(): Promise<{ readonly connectionParameters: { query_timeout?: number } }>;
}

describe.each(storeKinds().filter(({ locksRows }) => locksRows))('a transaction without a reply, on $label', (kind) => {
  const fixture = useStore(kind);

  it('is not committed by the next one on its connection', async () => {
    const proxy = TcpProxy.before((fixture.app.options as { url: string }).url);
    await proxy.open();
    const app = await new DataSource({ type: 'postgres', url: proxy.url, poolSize: 1 }).initialize();
    const { store } = createJobStore(app);
    await store.open();
    try {
      await fixture.sql('CREATE TABLE effects (n int)');
      const first = store.transaction(async (tx) => {
        const { queryRunner } = tx as EntityManager;
        await queryRunner!.query('INSERT INTO effects VALUES (1)');
        const client = await (queryRunner as unknown as Connected).connect();
        client.connectionParameters.query_timeout = 100;
        proxy.stall();
        await queryRunner!.query('SELECT 1');
      });
      await expect(first).rejects.toThrow('timeout');
      proxy.resume();
      await store.transaction((tx) => (tx as EntityManager).query('INSERT INTO effects VALUES (2)'));
      expect(await fixture.sql('SELECT n FROM effects')).toEqual([{ n: 2 }]);
    } finally {
      await store.close();
      await app.destroy();
      await proxy.close();
    }
  });
});
