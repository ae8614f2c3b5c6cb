import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import type { DeadLetter, JobContext } from 'nestjs-jobs';
import { JobHandler, OnJobFailed, UnrecoverableError } from 'nestjs-jobs';
import { DataSource, Repository } from 'typeorm';
import type { Shipment } from './carrier.controller.js';
import type { OrderReference } from './order.entity.js';
import { Order } from './order.entity.js';
import { Outbox } from './outbox.js';
import { settings } from './settings.js';

@Injectable()
export class ShippingJobs {
  private readonly carrier = `http://127.0.0.1:${settings.port}/carrier`;

  constructor(
    @InjectRepository(Order) private readonly orders: Repository<Order>,
    private readonly dataSource: DataSource,
    private readonly outbox: Outbox,
  ) {}

  /** Throwing fails the attempt. The queue retries it after about 2, 4, 8 … seconds. */
  @JobHandler('ship_order', { timeout: '5s', maxRetries: 8, backoff: { type: 'exponential', delay: '2s' } })
  async ship(job: JobContext<OrderReference>): Promise<void> {
    const order = await this.orders.findOneByOrFail({ id: job.payload.orderId });
    const { trackingNumber } = await this.requestShipment(order, job.signal);
    job.log('the carrier accepts the parcel', { trackingNumber });
    await this.dataSource.transaction(async (manager) => {
      await manager.update(Order, { id: order.id }, { status: 'shipped', trackingNumber });
      // The order's status and the job's completion commit together, or not at all.
      await job.completeTx(manager, { trackingNumber });
    });
  }

  /** Runs once for each shipment that has failed for good, even if the process dies in between. */
  @OnJobFailed('ship_order')
  async apologize({ payload: letter }: JobContext<DeadLetter<OrderReference>>): Promise<{ mail: string }> {
    const order = await this.orders.findOneByOrFail({ id: letter.payload.orderId });
    const mail = await this.outbox.put({
      name: `apology-${order.id}`,
      to: order.email,
      subject: `Your order ${order.id} cannot be shipped`,
      text: `We cannot ship ${order.item}: ${letter.lastError}.\n`,
    });
    return { mail };
  }

  private async requestShipment({ id, amount }: Order, signal: AbortSignal): Promise<Shipment> {
    const response = await fetch(`${this.carrier}/shipments/${id}`, {
      method: 'PUT',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ value: amount }),
      signal,
    });
    const body = (await response.json()) as Shipment & { message: string };
    if (response.status === 422) {
      // A retry cannot help: the job fails at once, even if it has retries left.
      throw new UnrecoverableError(`the carrier refuses: ${body.message}`);
    }
    if (!response.ok) {
      throw new Error(`the carrier responded ${response.status}: ${body.message}`);
    }
    return body;
  }
}
