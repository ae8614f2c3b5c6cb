/** @matrix postgres-18 */

import type { Provider, Type } from '@nestjs/common';
import type { DataSource } from 'typeorm';
import { GuideCode } from '../support/guide-code.js';
import { useApps } from './support/apps.js';
import { postgres, sqliteFile } from './support/database-kinds.js';
import { textLike } from './support/matchers.js';
import type { TestApp } from './support/test-app.js';

interface Payment {
  readonly id: string;
  readonly amount: number;
  readonly status: string;
}

interface PaymentsService {
  pay(amount: number): Promise<string>;
}

type Charge = (amount: number, options: { key: string; signal: AbortSignal }) => Promise<string>;

const guide = new GuideCode('guide/payments-and-mail.md');
const Payment = guide.exportOf<Type<Payment>>('Payment');
const PaymentsService = guide.exportOf<Type<PaymentsService>>('PaymentsService');
const PaymentFailures = guide.exportOf<Type<object>>('PaymentFailures');
const Text = guide.exportOf<Type<{ id: string }>>('Text');

describe.each([postgres, sqliteFile])('the guide on payments and mail, on $label:', (kind) => {
  const apps = useApps(kind);

  function start(...providers: Provider[]): Promise<TestApp> {
    return apps.start({
      typeOrm: { entities: [Payment, Text] },
      options: { backoff: { type: 'fixed', delay: 0 } },
      providers,
    });
  }

  const startBank = (charge: Charge): Promise<TestApp> =>
    start(PaymentsService, PaymentFailures, guide.exportOf<Type<object>>('PaymentJobs'), {
      provide: guide.exportOf<Type<object>>('Bank'),
      useValue: { charge },
    });

  const statuses = async (dataSource: DataSource): Promise<string[]> =>
    (await dataSource.getRepository(Payment).find()).map(({ status }) => status);

  it('the handler charges once with one key, although the first response was lost', async () => {
    const charges: { amount: number; key: string }[] = [];
    const { module, dataSource, jobs } = await startBank((amount, { key }) => {
      charges.push({ amount, key });
      return charges.length === 1 ? Promise.reject(new Error('socket hang up')) : Promise.resolve('paid');
    });
    const id = await module.get<PaymentsService>(PaymentsService).pay(995);
    await jobs.whenIdle();
    expect(charges).toEqual(Array.from({ length: 2 }, () => ({ amount: 995, key: id })));
    expect(await statuses(dataSource)).toEqual(['paid']);
  });

  it('the handler does not call the bank for a payment that is already paid', async () => {
    const charge = jest.fn<Promise<string>, []>();
    const { dataSource, jobs } = await startBank(charge);
    await dataSource.getRepository(Payment).insert({ id: 'by hand', amount: 1, status: 'paid' });
    const { id } = await jobs.enqueue('charge', { paymentId: 'by hand' });
    await jobs.whenIdle();
    expect(charge).not.toHaveBeenCalled();
    expect(await jobs.get(id)).toMatchObject({ status: 'completed', attempt: 1 });
  });

  it('the handler of failed jobs marks their payments, and no others', async () => {
    const app = await startBank((amount) =>
      amount === 1 ? Promise.reject(new Error('the bank is closed')) : Promise.resolve('paid'),
    );
    const payments = app.module.get<PaymentsService>(PaymentsService);
    await payments.pay(1);
    await payments.pay(3);
    await app.jobs.enqueue('charge', null, { maxRetries: 0 });
    await app.jobs.whenIdle();
    expect((await statuses(app.dataSource)).sort()).toEqual(['paid', 'unclear']);
  });

  it('the handler does not charge again after the bank has dropped the key', async () => {
    const charge = jest.fn<Promise<string>, []>().mockRejectedValue(new Error('no answer'));
    const { module, dataSource, jobs } = await startBank(charge);
    const now = Date.now();
    const clock = jest.spyOn(Date, 'now');
    charge.mockImplementationOnce(() => {
      clock.mockReturnValue(now + 24 * 60 * 60_000);
      return Promise.reject(new Error('no answer'));
    });
    await module.get<PaymentsService>(PaymentsService).pay(1);
    await jobs.whenIdle();
    clock.mockRestore();
    expect(charge).toHaveBeenCalledTimes(1);
    expect(await statuses(dataSource)).toEqual(['unclear']);
  });

  it('the SMS handler sends at most once over all attempts', async () => {
    const send = jest.fn<Promise<void>, [string]>().mockRejectedValue(new Error('no answer'));
    const { jobs } = await start(guide.exportOf<Type<object>>('SmsJobs'), {
      provide: guide.exportOf<Type<object>>('Phone'),
      useValue: { send },
    });
    const { id } = await jobs.enqueue('text', { id: '7', to: '+49 30 1' });
    await jobs.whenIdle();
    expect(send).toHaveBeenCalledTimes(1);
    expect(await jobs.get(id)).toMatchObject({ status: 'failed', attempt: 2, lastError: textLike('was begun before') });
  });
});
