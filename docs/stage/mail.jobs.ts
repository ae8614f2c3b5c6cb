import { Injectable } from '@nestjs/common';
import type { JobContext } from 'nestjs-jobs';
import { JobHandler } from 'nestjs-jobs';

export interface WelcomeMail {
  to: string;
}

@Injectable()
export class MailJobs {
  @JobHandler('welcome_mail')
  async welcome(job: JobContext<WelcomeMail>): Promise<void> {
    const mail = { method: 'POST', body: job.payload.to, signal: job.signal };
    const { ok, status } = await fetch('https://mail.example.org/send', mail);
    if (!ok) throw new Error(`the mail server answered ${status}`);
  }
}
