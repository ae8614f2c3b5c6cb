import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import type { JobContext } from 'nestjs-jobs';
import { JobHandler } from 'nestjs-jobs';
import { Repository } from 'typeorm';
import type { OrderReference } from './order.entity.js';
import { Order } from './order.entity.js';
import { Outbox } from './outbox.js';

@Injectable()
export class ReceiptJobs {
  constructor(
    @InjectRepository(Order) private readonly orders: Repository<Order>,
    private readonly outbox: Outbox,
  ) {}

  /**
   * The queue stores the returned value as the job's result. The mail provider of this shop accepts 100 mails a minute; more
   * receipts wait.
   */
  @JobHandler('send_receipt', { limits: { rate: { limit: 100, per: '1m' } } })
  async send(job: JobContext<OrderReference>): Promise<{ mail: string }> {
    const order = await this.orders.findOneByOrFail({ id: job.payload.orderId });
    const mail = await this.outbox.put({
      name: `receipt-${order.id}`,
      to: order.email,
      subject: `Your order ${order.id}`,
      text: `Thank you for your order.\n\n${order.item}: ${(order.amount / 100).toFixed(2)}\n`,
    });
    return { mail };
  }
}
