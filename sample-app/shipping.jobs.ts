import { Injectable } from '@nestjs/common';
import type { JobContext } from 'nestjs-jobs';
import { JobHandler } from 'nestjs-jobs';
import type { Shipment } from './carrier.controller.js';
import type { OrderReference } from './order.entity.js';
import { Order } from './order.entity.js';
import { settings } from './settings.js';
import { Transactions } from './transactions.js';

@Injectable()
export class ShippingJobs {
  private readonly carrier = `http://127.0.0.1:${settings.port}/carrier`;

  constructor(private readonly transactions: Transactions) {}

  /** Throwing fails the attempt; it is tried again after about 2, 4, 8 … seconds. */
  @JobHandler('ship_order', { timeout: '5s', maxRetries: 8, backoff: { type: 'exponential', delay: '2s' } })
  async ship(job: JobContext<OrderReference>): Promise<void> {
    const { orderId } = job.payload;
    const response = await fetch(`${this.carrier}/shipments/${orderId}`, { method: 'PUT', signal: job.signal });
    if (!response.ok) {
      throw new Error(`the carrier answered ${response.status}`);
    }
    const { trackingNumber } = (await response.json()) as Shipment;
    await this.transactions.run(async (manager) => {
      await manager.update(Order, { id: orderId }, { status: 'shipped', trackingNumber });
      // The order's status and the job's completion commit together, or not at all.
      await job.completeTx(manager, { trackingNumber });
    });
  }
}
