import { Injectable, NotFoundException } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { JobsService } from 'nestjs-jobs';
import { DataSource, Repository } from 'typeorm';
import type { NewOrder } from './new-order.js';
import type { OrderReference } from './order.entity.js';
import { Order } from './order.entity.js';

/** Short enough to see the reminder in the terminal. A real shop would wait for days. */
const REMINDER_DELAY = '20s';
const EXPRESS_PRIORITY = -10;

@Injectable()
export class OrdersService {
  constructor(
    @InjectRepository(Order) private readonly orders: Repository<Order>,
    private readonly dataSource: DataSource,
    private readonly jobs: JobsService,
  ) {}

  /** Commits the order and its jobs together: no order without a receipt, no receipt without an order. */
  place(newOrder: NewOrder): Promise<Order> {
    return this.dataSource.transaction(async (manager) => {
      const order = await manager.save(Order, manager.create(Order, newOrder));
      const reference: OrderReference = { orderId: order.id };
      await this.jobs.enqueueTx(manager, 'send_receipt', reference);
      await this.jobs.enqueueTx(manager, 'remind_payment', reference, { delay: REMINDER_DELAY });
      return order;
    });
  }

  newest(): Promise<Order[]> {
    return this.orders.find({ order: { id: 'DESC' }, take: 20 });
  }

  /**
   * Stores the jobs of a payment: charge the card, then ship the order and write the invoice, then mail both. While they are unfinished,
   * the unique key keeps a second call from storing them again.
   */
  async pay(id: number): Promise<Order> {
    const order = await this.orders.findOneBy({ id });
    if (!order) {
      throw new NotFoundException(`there is no order ${id}`);
    }
    if (!order.paid) {
      const common = {
        payload: { orderId: id },
        uniqueKey: `order-${id}`,
        priority: order.express ? EXPRESS_PRIORITY : 0,
      };
      await this.jobs.enqueueMany([
        { ...common, ref: 'charge', topic: 'charge_card' },
        { ...common, ref: 'shipment', topic: 'ship_order', dependsOn: ['charge'] },
        { ...common, ref: 'invoice', topic: 'write_invoice', dependsOn: ['charge'] },
        { ...common, topic: 'mail_invoice', dependsOn: ['shipment', 'invoice'] },
      ]);
    }
    return order;
  }
}
