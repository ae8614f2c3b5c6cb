import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import type { JobContext } from 'nestjs-jobs';
import { JobSchedule } from 'nestjs-jobs';
import { Repository } from 'typeorm';
import { Order } from './order.entity.js';
import { Outbox } from './outbox.js';

@Injectable()
export class DigestJobs {
  constructor(
    @InjectRepository(Order) private readonly orders: Repository<Order>,
    private readonly outbox: Outbox,
  ) {}

  /** Runs once a minute, in one process. A real shop would send it each morning: `'0 7 * * *'`. */
  @JobSchedule('* * * * *', { name: 'digest' })
  async send(job: JobContext): Promise<{ mail: string; shipped: number; unpaid: number }> {
    const shipped = await this.orders.countBy({ status: 'shipped' });
    const unpaid = await this.orders.countBy({ paid: false });
    const mail = await this.outbox.put({
      name: 'digest',
      to: 'owner@example.org',
      subject: `The shop at ${job.schedule?.tick.toISOString()}`,
      text: `${shipped} orders are shipped, ${unpaid} are not paid.\n`,
    });
    return { mail, shipped, unpaid };
  }
}
