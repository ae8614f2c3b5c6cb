import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import type { JobContext } from 'nestjs-jobs';
import { JobHandler } from 'nestjs-jobs';
import { DataSource, Repository } from 'typeorm';
import type { OrderReference } from './order.entity.js';
import { Order } from './order.entity.js';
import { Outbox } from './outbox.js';

@Injectable()
export class PaymentJobs {
  constructor(
    @InjectRepository(Order) private readonly orders: Repository<Order>,
    private readonly dataSource: DataSource,
    private readonly outbox: Outbox,
  ) {}

  /** A real shop would charge the card here, with `job.id` as the idempotency key. */
  @JobHandler('charge_card')
  async charge(job: JobContext<OrderReference>): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      await manager.update(Order, { id: job.payload.orderId }, { paid: true });
      // The same commit starts the jobs that wait for the charge.
      await job.completeTx(manager);
    });
  }

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
