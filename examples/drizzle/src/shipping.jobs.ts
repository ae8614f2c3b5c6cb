import { Injectable } from '@nestjs/common';
import { eq } from 'drizzle-orm';
import { JobHandler, type JobContext } from 'nestjs-jobs';
import type { Transaction } from './database.module.js';
import { orders } from './schema.js';

@Injectable()
export class ShippingJobs {
  /** The order's status and the job's completion are one commit. */
  @JobHandler('ship_order', { transactional: true })
  async ship(job: JobContext<{ orderId: number }>): Promise<void> {
    const tx = job.tx as Transaction;
    await tx.update(orders).set({ status: 'shipped' }).where(eq(orders.id, job.payload.orderId));
  }
}
