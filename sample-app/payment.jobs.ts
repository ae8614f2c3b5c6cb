import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import type { JobContext } from 'nestjs-jobs';
import { JobHandler } from 'nestjs-jobs';
import { Repository } from 'typeorm';
import type { OrderReference } from './order.entity.js';
import { Order } from './order.entity.js';
import { Outbox } from './outbox.js';

@Injectable()
export class PaymentJobs {
  constructor(
    @InjectRepository(Order) private readonly orders: Repository<Order>,
    private readonly outbox: Outbox,
  ) {}

  /** Runs some time after the order was placed. Sends nothing if the order is paid. */
  @JobHandler('remind_payment')
  async remind(job: JobContext<OrderReference>): Promise<{ mail: string | null }> {
    const order = await this.orders.findOneByOrFail({ id: job.payload.orderId });
    if (order.paid) {
      return { mail: null };
    }
    const mail = await this.outbox.put({
      name: `reminder-${order.id}`,
      to: order.email,
      subject: `Payment of your order ${order.id}`,
      text: `Please pay ${(order.amount / 100).toFixed(2)} for your order ${order.id}.\n`,
    });
    return { mail };
  }
}
