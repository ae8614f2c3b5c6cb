import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import type { JobContext } from 'nestjs-jobs';
import { JobHandler } from 'nestjs-jobs';
import { Repository } from 'typeorm';
import type { Shipment } from './carrier.controller.js';
import type { OrderReference } from './order.entity.js';
import { Order } from './order.entity.js';
import { Outbox } from './outbox.js';

interface Invoice {
  number: string;
  text: string;
}

@Injectable()
export class InvoiceJobs {
  constructor(
    @InjectRepository(Order) private readonly orders: Repository<Order>,
    private readonly outbox: Outbox,
  ) {}

  @JobHandler('write_invoice')
  async write(job: JobContext<OrderReference>): Promise<Invoice> {
    const { id, item, amount } = await this.orders.findOneByOrFail({ id: job.payload.orderId });
    const number = `INV-${String(id).padStart(6, '0')}`;
    return { number, text: `Invoice ${number}\n\n${item}: ${(amount / 100).toFixed(2)}, paid` };
  }

  /** Runs when the order is shipped and its invoice is written. If one of these jobs fails for good, the queue cancels this one. */
  @JobHandler('mail_invoice')
  async mail(job: JobContext<OrderReference>): Promise<{ mail: string }> {
    const { id, email } = await this.orders.findOneByOrFail({ id: job.payload.orderId });
    const results = new Map((await job.parents()).map(({ ref, result }) => [ref, result]));
    const { trackingNumber } = results.get('shipment') as Shipment;
    const invoice = results.get('invoice') as Invoice;
    const mail = await this.outbox.put({
      name: `invoice-${id}`,
      to: email,
      subject: `Your order ${id} is on its way`,
      text: `The number of your parcel is ${trackingNumber}.\n\n${invoice.text}\n`,
    });
    return { mail };
  }
}
