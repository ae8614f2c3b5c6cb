import { Injectable } from '@nestjs/common';
import type { JobContext } from 'nestjs-jobs';
import { JobHandler, JobSchedule } from 'nestjs-jobs';

/** A handler, and a schedule that fires every ten minutes. They record what ran. */
@Injectable()
export class Handlers {
  readonly ran: string[] = [];

  @JobHandler('a')
  async handle(job: JobContext): Promise<void> {
    this.ran.push(String(job.payload));
  }

  @JobSchedule({ every: '10m' }, { name: 'often' })
  async often(): Promise<void> {
    this.ran.push('often');
  }
}
