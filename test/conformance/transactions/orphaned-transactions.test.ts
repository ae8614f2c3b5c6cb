/** @never typeorm-0.3 */

import { createJobStore } from 'nestjs-jobs';
import type { EntityManager } from 'typeorm';
import { DataSource } from 'typeorm';
import type { JobStore } from '../../../lib/store/job-store.js';
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

  let proxy: TcpProxy;
  let app: DataSource;
  let store: JobStore;

  beforeEach(async () => {
    proxy = TcpProxy.before((fixture.app.options as { url: string }).url);
    await proxy.open();
    app = await new DataSource({ type: 'postgres', url: proxy.url, poolSize: 1 }).initialize();
    ({ store } = createJobStore(app));
    await store.open();
    await fixture.sql('CREATE TABLE effects (n int)');
  });

  afterEach(async () => {
    await store.close();
    await app.destroy();
    await proxy.close();
    await fixture.sql('DROP TABLE effects');
  });

  const write = (manager: EntityManager, n: number): Promise<unknown> =>
    manager.query(`INSERT INTO effects VALUES (${n})`);
  const readEffects = (): Promise<unknown> => fixture.sql('SELECT n FROM effects');

  /** Writes a row, and sends a statement that gets no reply in time. */
  async function writeAndStall(manager: EntityManager): Promise<void> {
    await write(manager, 1);
    const client = await (manager.queryRunner as unknown as Connected).connect();
    client.connectionParameters.query_timeout = 100;
    proxy.stall();
    await manager.query('SELECT 1');
  }

  it('is not committed by the next one on its connection', async () => {
    await expect(store.transaction((tx) => writeAndStall(tx as EntityManager))).rejects.toThrow('timeout');
    proxy.resume();
    await store.transaction((tx) => write(tx as EntityManager, 2));
    expect(await readEffects()).toEqual([{ n: 2 }]);
  });

  it('in a savepoint is not committed by the transaction around it', async () => {
    const outer = app.transaction(async (manager) => {
      await expect(manager.transaction(writeAndStall)).rejects.toThrow('timeout');
      proxy.resume();
      await write(manager, 2);
    });
    await expect(outer).rejects.toThrow();
    expect(await readEffects()).toEqual([]);
  });
});
