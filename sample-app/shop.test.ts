import './in-memory.js';
import type { TestingModule } from '@nestjs/testing';
import { Test } from '@nestjs/testing';
import { JobsModule } from 'nestjs-jobs';
import { JobsTesting, JobsTestingModule } from 'nestjs-jobs/testing';
import { AppModule } from './app.module.js';
import { JobLines } from './job-lines.js';
import type { NewOrder } from './new-order.js';
import { OrdersService } from './orders.service.js';
import type { Mail } from './outbox.js';
import { Outbox } from './outbox.js';

const tea: NewOrder = { email: 'a@example.org', item: 'green tea', amount: 450, express: true };

let app: TestingModule;
let testing: JobsTesting;
let orders: OrdersService;
let mails: Mail[];

beforeEach(async () => {
  mails = [];
  app = await Test.createTestingModule({ imports: [AppModule] })
    .overrideModule(JobsModule)
    .useModule(JobsTestingModule.forRoot({ mode: 'manual' }))
    .overrideProvider(Outbox)
    .useValue({ put: async (mail: Mail) => `mail ${mails.push(mail)}` })
    .overrideProvider(JobLines)
    .useValue({})
    .compile();
  await app.init();
  testing = app.get(JobsTesting);
  orders = app.get(OrdersService);
});

afterEach(async () => {
  jest.restoreAllMocks();
  await app.close();
});

/** Lets the carrier respond with these statuses, one after the other. */
function letCarrierRespond(...statuses: readonly number[]): void {
  const fetch = jest.spyOn(globalThis, 'fetch');
  for (const status of statuses) {
    const body = status < 300 ? { trackingNumber: 'T-1' } : { message: 'not now' };
    fetch.mockImplementationOnce(async () => Response.json(body, { status }));
  }
}

it('stores an order with its jobs', async () => {
  const { id } = await orders.place(tea);
  await testing.expectEnqueued('send_receipt', { payload: { orderId: id }, count: 1 });
  await testing.expectEnqueued('remind_payment', { payload: { orderId: id }, runAt: '20s' });
  await testing.expectNotEnqueued('ship_order');
});

it('sends a receipt', async () => {
  await orders.place(tea);
  expect(await testing.runPending({ topic: 'send_receipt' })).toMatchObject([{ result: { mail: 'mail 1' } }]);
  expect(mails).toMatchObject([{ to: 'a@example.org', subject: expect.stringMatching(/^Your order \d+$/) as string }]);
});

it('reminds the customers that have not paid', async () => {
  await orders.pay((await orders.place(tea)).id);
  await testing.runPending({ topic: 'charge_card' });
  const unpaid = await orders.place(tea);
  await testing.advance('20s');
  await testing.runPending({ topic: 'remind_payment' });
  expect(mails.map(({ name }) => name)).toEqual([`reminder-${unpaid.id}`]);
});

it('ships a paid order and writes its invoice, then mails both', async () => {
  letCarrierRespond(201);
  const { id } = await orders.place(tea);
  await orders.pay(id);
  await orders.pay(id);
  expect(await testing.expectEnqueued('ship_order', { count: 1 })).toMatchObject([{ priority: -10, attempt: 0 }]);
  expect((await testing.runPending({ topic: 'charge_card' })).map(({ status }) => status)).toEqual(['completed']);
  expect(await orders.pay(id)).toMatchObject({ paid: true, status: 'placed' });
  await testing.runPending({ topic: ['ship_order', 'write_invoice', 'mail_invoice'], recursive: true });
  expect(await orders.newest()).toMatchObject([{ paid: true, status: 'shipped', trackingNumber: 'T-1' }]);
  expect(mails).toMatchObject([
    { name: `invoice-${id}`, text: expect.stringMatching(/T-1.*: 4\.50, paid/s) as string },
  ]);
});

it('requests a shipment again when the carrier has failed', async () => {
  letCarrierRespond(503, 201);
  await orders.pay((await orders.place(tea)).id);
  await testing.runPending({ topic: 'charge_card' });
  expect(await testing.runPending({ topic: 'ship_order' })).toMatchObject([{ status: 'pending', retries: 1 }]);
  await testing.advance('3s');
  expect(await testing.runPending({ topic: 'ship_order' })).toMatchObject([{ status: 'completed', attempt: 2 }]);
});

it('mails an apology and no invoice when the carrier refuses', async () => {
  letCarrierRespond(422);
  await orders.pay((await orders.place(tea)).id);
  await testing.runPending({ recursive: true });
  const [shipment] = await testing.expectEnqueued('ship_order');
  expect(shipment).toMatchObject({ status: 'failed', lastError: 'the carrier refuses: not now' });
  expect(await testing.expectEnqueued('mail_invoice')).toMatchObject([
    { status: 'cancelled', lastError: `parent ${shipment!.id} failed` },
  ]);
  const [apology] = await testing.expectEnqueued('ShippingJobs.apologize', { payload: { id: shipment!.id } });
  expect(apology).toMatchObject({ status: 'completed' });
  expect(mails.at(-1)).toMatchObject({ text: 'We cannot ship green tea: the carrier refuses: not now.\n' });
});

it('mails a digest every minute', async () => {
  await testing.advance('3m');
  await testing.runPending({ topic: 'digest' });
  expect(mails.map(({ name }) => name)).toEqual(['digest', 'digest', 'digest']);
});
