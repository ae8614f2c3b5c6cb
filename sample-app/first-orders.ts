import { Injectable } from '@nestjs/common';
import type { NewOrder } from './new-order.js';
import { OrdersService } from './orders.service.js';

const FIRST_ORDERS: readonly NewOrder[] = [
  { email: 'first@example.org', item: 'green tea', amount: 450, express: false },
  { email: 'second@example.org', item: 'coffee beans', amount: 1290, express: true },
  { email: 'third@example.org', item: 'two cups', amount: 1800, express: false },
];

/** Places some orders when there are none yet, so that a newcomer sees something happen. */
@Injectable()
export class FirstOrders {
  constructor(private readonly orders: OrdersService) {}

  async place(): Promise<void> {
    if ((await this.orders.newest()).length > 0) {
      return;
    }
    for (const [index, newOrder] of FIRST_ORDERS.entries()) {
      const order = await this.orders.place(newOrder);
      if (index === 0) {
        await this.orders.pay(order.id);
      }
    }
  }
}
