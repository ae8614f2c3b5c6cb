import { setImmediate as nextLoop } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { getDataSourceToken } from '@nestjs/typeorm';
import { ClsPluginTransactional, Transactional as ClsTransactional, TransactionHost } from '@nestjs-cls/transactional';
import { TransactionalAdapterTypeOrm } from '@nestjs-cls/transactional-adapter-typeorm';
import { ClsModule } from 'nestjs-cls';
import type { JobContext } from 'nestjs-jobs';
import { InvalidOptionsError, JobHandler, JobsService } from 'nestjs-jobs';
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

/** One after the other. */
class Line {
  private last: Promise<unknown> = Promise.resolve();

  take<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.last.then(work);
    this.last = turn.catch(() => undefined);
    return turn;
  }
}

/** What both services below offer, by a method that is marked. */
abstract class Orders {
  /** Writes a receipt and enqueues a job, and fails if it is told to. */
  abstract order(isRefused: boolean): Promise<string>;
  /** Enqueues a job in a transaction that there is not. */
  abstract unmarked(): Promise<unknown>;
}

const refuse = (isRefused: boolean): void => {
  if (isRefused) throw new Error('refused');
};

/** With `typeorm-transactional` the manager of the DataSource is that of the transaction. */
@Injectable()
class MarkedOrders extends Orders {
  constructor(
    private readonly dataSource: DataSource,
    private readonly jobs: JobsService,
  ) {
    super();
  }

  @Transactional()
  async order(isRefused: boolean): Promise<string> {
    const { id } = await this.jobs.enqueueTx(this.dataSource.manager, 'ship', null);
    await this.dataSource.getRepository(Receipt).insert({ jobId: id, attempt: 0 });
    await nextLoop();
    refuse(isRefused);
    return id;
  }

  unmarked(): Promise<unknown> {
    return this.jobs.enqueueTx(this.dataSource.manager, 'ship', null);
  }

  @JobHandler('ship')
  @Transactional()
  async ship(job: JobContext): Promise<void> {
    await this.dataSource.getRepository(Receipt).insert({ jobId: job.id, attempt: job.attempt });
    await job.completeTx(this.dataSource.manager, { shipped: true });
    refuse(job.attempt === 1);
  }
}

/** With `@nestjs-cls/transactional` it is handed out by the host. */
@Injectable()
class HostedOrders extends Orders {
  constructor(
    private readonly host: TransactionHost<TransactionalAdapterTypeOrm>,
    private readonly jobs: JobsService,
  ) {
    super();
  }

  @ClsTransactional()
  async order(isRefused: boolean): Promise<string> {
    const { id } = await this.jobs.enqueueTx(this.host.tx, 'ship', null);
    await this.host.tx.insert(Receipt, { jobId: id, attempt: 0 });
    await nextLoop();
    refuse(isRefused);
    return id;
  }

  unmarked(): Promise<unknown> {
    return this.jobs.enqueueTx(this.host.tx, 'ship', null);
  }

  @JobHandler('ship')
  @ClsTransactional()
  async ship(job: JobContext): Promise<void> {
    await this.host.tx.insert(Receipt, { jobId: job.id, attempt: job.attempt });
    await job.completeTx(this.host.tx, { shipped: true });
    refuse(job.attempt === 1);
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

    it('stores its job together with what it writes', async () => {
      const id = await orders.order(false);
      expect(await app.job(id)).toMatchObject({ topic: 'ship', status: 'pending' });
      expect(await attempts()).toEqual([0]);
    });

    it('leaves the jobs of others alone when it fails beside them, in turns where there is one connection', async () => {
      const line = new Line();
      const order = (isRefused: boolean): Promise<string> =>
        kind.canRunTransactionalHandlers ? orders.order(isRefused) : line.take(() => orders.order(isRefused));
      const calls = await Promise.allSettled(Array.from({ length: 30 }, (_, index) => order(index % 3 === 0)));
      const ids = calls.flatMap((call) => (call.status === 'fulfilled' ? [call.value] : []));
      expect(ids).toHaveLength(20);
      const { items } = await app.jobs.list({ limit: 100 });
      expect(items.map(({ id }) => id).sort()).toEqual(ids.sort());
      expect(await attempts()).toHaveLength(20);
    });

    it('has no transaction for a job when it is not marked', async () => {
      await expect(orders.unmarked()).rejects.toBeInstanceOf(InvalidOptionsError);
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
