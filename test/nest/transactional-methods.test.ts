import { setImmediate as nextLoop } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { getDataSourceToken } from '@nestjs/typeorm';
import { ClsPluginTransactional, Transactional as ClsTransactional, TransactionHost } from '@nestjs-cls/transactional';
import { TransactionalAdapterTypeOrm } from '@nestjs-cls/transactional-adapter-typeorm';
import { ClsModule } from 'nestjs-cls';
import type { Job, JobContext } from 'nestjs-jobs';
import { InvalidOptionsError, JobHandler, JobsService } from 'nestjs-jobs';
import type { EntityManager, Repository } from 'typeorm';
import { DataSource } from 'typeorm';
import {
  addTransactionalDataSource,
  deleteDataSourceByName,
  initializeTransactionalContext,
  StorageDriver,
  Transactional,
} from 'typeorm-transactional';
import type { AppParts } from './support/apps.js';
import { useApps } from './support/apps.js';
import { everyKind } from './support/database-kinds.js';
import { Receipt } from './support/receipt.js';
import type { TestApp } from './support/test-app.js';

/** What an application does in its transactions; subclasses open them. */
abstract class Orders {
  constructor(private readonly jobs: JobsService) {}

  /** Writes a receipt and enqueues a job, and fails if it is told to. */
  abstract order(isRefused: boolean): Promise<string>;
  /** Of the transaction, where one is open. */
  protected abstract get manager(): EntityManager;
  protected abstract get receipts(): Repository<Receipt>;

  enqueue(): Promise<Job> {
    return this.jobs.enqueueTx(this.manager, 'ship', null);
  }

  protected async place(isRefused: boolean): Promise<string> {
    const { id } = await this.enqueue();
    await this.receipts.insert({ jobId: id, attempt: 0 });
    await nextLoop();
    if (isRefused) throw new Error('refused');
    return id;
  }

  protected async complete(job: JobContext): Promise<void> {
    await this.receipts.insert({ jobId: job.id, attempt: job.attempt });
    await job.completeTx(this.manager, { shipped: true });
    if (job.attempt === 1) throw new Error('refused');
  }
}

/** With `typeorm-transactional` the manager of the DataSource is that of the transaction. */
@Injectable()
class MarkedOrders extends Orders {
  constructor(
    private readonly dataSource: DataSource,
    jobs: JobsService,
  ) {
    super(jobs);
  }

  @Transactional()
  order(isRefused: boolean): Promise<string> {
    return this.place(isRefused);
  }

  @JobHandler('ship')
  @Transactional()
  ship(job: JobContext): Promise<void> {
    return this.complete(job);
  }

  protected get manager(): EntityManager {
    return this.dataSource.manager;
  }

  protected get receipts(): Repository<Receipt> {
    return this.dataSource.getRepository(Receipt);
  }
}

/** With `@nestjs-cls/transactional` it is handed out by the host. */
@Injectable()
class HostedOrders extends Orders {
  constructor(
    private readonly host: TransactionHost<TransactionalAdapterTypeOrm>,
    jobs: JobsService,
  ) {
    super(jobs);
  }

  @ClsTransactional()
  order(isRefused: boolean): Promise<string> {
    return this.place(isRefused);
  }

  @JobHandler('ship')
  @ClsTransactional()
  ship(job: JobContext): Promise<void> {
    return this.complete(job);
  }

  protected get manager(): EntityManager {
    return this.host.tx;
  }

  protected get receipts(): Repository<Receipt> {
    return this.host.tx.getRepository(Receipt);
  }
}

const packages: { name: string; parts: AppParts; isOfDataSource: boolean }[] = [
  {
    name: 'typeorm-transactional',
    parts: { providers: [{ provide: Orders, useClass: MarkedOrders }] },
    isOfDataSource: true,
  },
  {
    name: '@nestjs-cls/transactional',
    parts: {
      imports: [
        ClsModule.forRoot({
          global: true,
          plugins: [
            new ClsPluginTransactional({
              adapter: new TransactionalAdapterTypeOrm({ dataSourceToken: getDataSourceToken() }),
            }),
          ],
        }),
      ],
      providers: [{ provide: Orders, useClass: HostedOrders }],
    },
    isOfDataSource: false,
  },
];

beforeAll(() => initializeTransactionalContext({ storageDriver: StorageDriver.ASYNC_LOCAL_STORAGE }));

describe.each(everyKind)('a method on $label', (kind) => {
  describe.each(packages)('that is marked by $name', ({ parts, isOfDataSource }) => {
    const apps = useApps(kind);
    let app: TestApp;
    let orders: Orders;

    beforeEach(async () => {
      app = await apps.create({
        ...parts,
        typeOrm: { entities: [Receipt] },
        options: { backoff: { type: 'fixed', delay: 0 } },
      });
      if (isOfDataSource) addTransactionalDataSource(app.dataSource);
      orders = app.module.get(Orders);
    });

    afterEach(() => isOfDataSource && deleteDataSourceByName('default'));

    const attempts = async (): Promise<number[]> =>
      (await app.dataSource.getRepository(Receipt).find({ order: { attempt: 'ASC' } })).map(({ attempt }) => attempt);

    /** All at once, or one by one where transactions share a connection. Answers the jobs of those that are not refused. */
    async function placed(refusals: boolean[]): Promise<string[]> {
      const atOnce = kind.canRunTransactionalHandlers ? refusals.length : 1;
      const ids: string[] = [];
      for (let from = 0; from < refusals.length; from += atOnce) {
        const some = refusals.slice(from, from + atOnce).map((isRefused) => orders.order(isRefused));
        const calls = await Promise.allSettled(some);
        ids.push(...calls.flatMap((call) => (call.status === 'fulfilled' ? [call.value] : [])));
      }
      return ids;
    }

    it('stores its job together with what it writes', async () => {
      const id = await orders.order(false);
      expect(await app.job(id)).toMatchObject({ topic: 'ship', status: 'pending' });
      expect(await attempts()).toEqual([0]);
    });

    it('leaves the jobs of others alone when it fails beside them, in turns where there is one connection', async () => {
      const ids = await placed(Array.from({ length: 30 }, (_, index) => index % 3 === 0));
      expect(ids).toHaveLength(20);
      const { items } = await app.jobs.list({ limit: 100 });
      expect(items.map(({ id }) => id).sort()).toEqual(ids.sort());
      expect(await attempts()).toHaveLength(20);
    });

    it('has no transaction for a job when it is not marked', async () => {
      await expect(orders.enqueue()).rejects.toBeInstanceOf(InvalidOptionsError);
      expect((await app.jobs.list()).total).toBe(0);
    });

    it('takes its job along when it fails', async () => {
      await expect(orders.order(true)).rejects.toThrow('refused');
      expect((await app.jobs.list()).total).toBe(0);
      expect(await attempts()).toEqual([]);
    });

    it('completes the job whose handler it is together with what it writes, and takes both back when it fails', async () => {
      await app.app.init();
      const id = await orders.order(false);
      expect(await app.jobAfter('completed', id)).toMatchObject({ attempt: 2, retries: 1, result: { shipped: true } });
      expect(await attempts()).toEqual([0, 2]);
    });
  });
});
