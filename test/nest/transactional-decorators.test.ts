/** @matrix nest-11 */

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

/** The transactions of an application. Subclasses open them. */
abstract class Orders {
  constructor(private readonly jobs: JobsService) {}

  /** Writes a receipt and enqueues a job. Throws if `isRefused`. */
  abstract order(isRefused: boolean): Promise<string>;
  /** The manager of the open transaction, if there is one. */
  protected abstract get manager(): EntityManager;
  protected abstract get receipts(): Repository<Receipt>;

  enqueue(): Promise<Job> {
    return this.jobs.enqueueTx(this.manager, 'ship', null);
  }

  protected async insertOrder(isRefused: boolean): Promise<string> {
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

/** With `typeorm-transactional`, `dataSource.manager` is the manager of the transaction. */
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
    return this.insertOrder(isRefused);
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

/** With `@nestjs-cls/transactional`, the host provides the manager. */
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
    return this.insertOrder(isRefused);
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
  describe.each(packages)('decorated by $name', ({ parts, isOfDataSource }) => {
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

    /** Places orders at once, and returns the jobs of the successful ones. */
    async function placeOrders(refusals: boolean[]): Promise<string[]> {
      const calls = await Promise.allSettled(refusals.map((isRefused) => orders.order(isRefused)));
      return calls.flatMap((call) => (call.status === 'fulfilled' ? [call.value] : []));
    }

    it('commits its job together with its writes', async () => {
      const id = await orders.order(false);
      expect(await app.job(id)).toMatchObject({ topic: 'ship', status: 'pending' });
      expect(await attempts()).toEqual([0]);
    });

    it('rolls back only its own job if it fails next to concurrent calls', async () => {
      const ids = await placeOrders(Array.from({ length: 30 }, (_, index) => index % 3 === 0));
      expect(ids).toHaveLength(20);
      const { items } = await app.jobs.list({ limit: 100 });
      expect(items.map(({ id }) => id).sort()).toEqual(ids.sort());
      expect(await attempts()).toHaveLength(20);
    });

    it('rejects the job if it is not decorated', async () => {
      await expect(orders.enqueue()).rejects.toBeInstanceOf(InvalidOptionsError);
      expect((await app.jobs.list()).total).toBe(0);
    });

    it('rolls back its job if it fails', async () => {
      await expect(orders.order(true)).rejects.toThrow('refused');
      expect((await app.jobs.list()).total).toBe(0);
      expect(await attempts()).toEqual([]);
    });

    it('as a handler commits the completion together with its writes and rolls both back if it fails', async () => {
      await app.app.init();
      const id = await orders.order(false);
      expect(await app.jobAfter('completed', id)).toMatchObject({ attempt: 2, retries: 1, result: { shipped: true } });
      expect(await attempts()).toEqual([0, 2]);
    });
  });
});
