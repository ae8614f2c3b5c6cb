import { createJobStore } from 'nestjs-jobs';
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
