import { Injectable } from '@nestjs/common';
import { JobHandler, type JobContext } from 'nestjs-jobs';
import type { Prisma } from './generated/prisma/client.js';

@Injectable()
export class ShippingJobs {
  /** The order's status and the job's completion are one commit. */
  @JobHandler('ship_order', { transactional: true })
  async ship(job: JobContext<{ orderId: number }>): Promise<void> {
    const tx = job.tx as Prisma.TransactionClient;
    await tx.order.update({ where: { id: job.payload.orderId }, data: { status: 'shipped' } });
  }
}
