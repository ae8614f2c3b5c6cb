import { Injectable } from '@nestjs/common';
import type { NewOrder } from './new-order.js';
import { OrdersService } from './orders.service.js';

/** Its customer gets a reminder. */
const UNPAID_ORDER: NewOrder = { email: 'third@example.org', item: 'two cups', amount: 1800, express: false };
const FIRST_ORDERS: readonly NewOrder[] = [
  { email: 'first@example.org', item: 'green tea', amount: 450, express: false },
  { email: 'second@example.org', item: 'coffee beans', amount: 1290, express: true },
  UNPAID_ORDER,
  // The carrier refuses it: its shipment fails for good, and the queue cancels its mail.
  { email: 'fourth@example.org', item: 'a samovar of silver', amount: 240_000, express: false },
];
const LATER_ORDER: NewOrder = { email: 'first@example.org', item: 'more green tea', amount: 450, express: false };

/** Places four orders at the first start and one at each later start, so that there are jobs to watch. */
@Injectable()
export class OrdersAtStart {
  constructor(private readonly orders: OrdersService) {}

  async place(): Promise<void> {
    const isFirstStart = (await this.orders.newest()).length === 0;
    for (const newOrder of isFirstStart ? FIRST_ORDERS : [LATER_ORDER]) {
      const { id } = await this.orders.place(newOrder);
      if (newOrder !== UNPAID_ORDER) {
        await this.orders.pay(id);
      }
    }
  }
}
