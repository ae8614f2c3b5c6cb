/** @matrix nest-11 */

import { Injectable, Module } from '@nestjs/common';
import { LazyModuleLoader } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import type { JobContext } from 'nestjs-jobs';
import { defineJob, InjectJobs, InvalidOptionsError, JobHandler, JobQueue, JobsModule, provideJobs } from 'nestjs-jobs';
import { GuideCode } from '../support/guide-code.js';
import { useApps } from './support/apps.js';
import { postgres, sqliteFile } from './support/database-kinds.js';

const SendMail = defineJob<{ to: string }, { messageId: string }>('send_mail', { maxRetries: 5 });
const later = new Date('2100-01-01T00:00:00Z');

@Injectable()
class Welcome {
  constructor(@InjectJobs(SendMail) readonly mail: JobQueue<typeof SendMail>) {}
}

@Injectable()
class MailJobs {
  @InjectJobs(SendMail) readonly mail!: JobQueue<typeof SendMail>;

  @JobHandler(SendMail)
  send(job: JobContext<{ to: string }>): { messageId: string } {
    return { messageId: `to ${job.payload.to}` };
  }
}

describe.each([postgres, sqliteFile])('@InjectJobs on $label', (kind) => {
  const apps = useApps(kind);

  it('injects the queue of a topic into constructors and properties', async () => {
    const app = await apps.start({ providers: [Welcome, MailJobs] });
    const { mail } = app.module.get(Welcome);
    expect(mail).toBeInstanceOf(JobQueue);
    expect(app.module.get(MailJobs).mail).toBe(mail);
    const { id } = await mail.enqueue({ to: 'a' }, { priority: 3 });
    const done = await app.jobAfter('completed', id);
    expect(done).toMatchObject({ topic: 'send_mail', priority: 3, maxRetries: 5, result: { messageId: 'to a' } });
  });

  it('enqueues at a time, many, in a transaction, and lists the jobs of its topic only', async () => {
    const app = await apps.start({ options: { role: 'producer' }, providers: [Welcome] });
    const { mail } = app.module.get(Welcome);
    await app.jobs.enqueue('other', 1);
    const planned = await mail.enqueueAt({ to: 'later' }, later);
    const [first, second] = await mail.enqueueMany([
      { payload: { to: 'first' }, ref: 'first', priority: 1 },
      { payload: { to: 'second' }, dependsOn: ['first'] },
    ]);
    const inTx = await app.dataSource.transaction((manager) => mail.enqueueTx(manager, { to: 'tx' }));
    await app.dataSource
      .transaction(async (manager) => {
        await mail.enqueueTx(manager, { to: 'none' });
        await mail.enqueueMany([{ payload: { to: 'none' } }], { manager });
        throw new Error('roll back');
      })
      .catch(() => null);
    const page = await mail.list();
    expect(page.items.map(({ payload }) => payload.to).sort()).toEqual(['first', 'later', 'second', 'tx']);
    expect(page).toMatchObject({ total: 4 });
    expect([planned.runAt, first!.priority, second!.topic, inTx.payload]).toEqual([
      later,
      1,
      'send_mail',
      { to: 'tx' },
    ]);
    expect((await mail.list({ limit: 1, offset: 3 })).items).toMatchObject([{ id: planned.id }]);
  });
});

describe('@InjectJobs', () => {
  const apps = useApps(sqliteFile);

  it('finds classes that are loaded after the call of forRoot, and modules without imports', async () => {
    const jobsModule = JobsModule.forRoot({ role: 'producer', http: false });
    const SendSms = defineJob<string>('send_sms');
    @Injectable()
    class Sms {
      constructor(@InjectJobs(SendSms) readonly sms: JobQueue<typeof SendSms>) {}
    }
    @Module({ providers: [Sms], exports: [Sms] })
    class SmsModule {}
    const app = await apps.start({ jobsModule, imports: [SmsModule] });
    const { id } = await app.module.get(Sms, { strict: false }).sms.enqueue('hello');
    expect(await app.job(id)).toMatchObject({ topic: 'send_sms', payload: 'hello' });
  });

  it('needs provideJobs in a module that is loaded later', async () => {
    const app = await apps.start({ options: { role: 'producer' } });
    const SendFax = defineJob<string>('send_fax');
    @Injectable()
    class Fax {
      constructor(@InjectJobs(SendFax) readonly fax: JobQueue<typeof SendFax>) {}
    }
    @Module({ providers: [Fax, provideJobs(SendFax)] })
    class FaxModule {}
    const loaded = await app.module.get(LazyModuleLoader).load(() => FaxModule);
    const { id } = await loaded.get(Fax).fax.enqueue('page 1');
    expect((await app.job(id)).topic).toBe('send_fax');
  });

  it('takes a fake in a test without JobsModule', async () => {
    const enqueue = jest.fn().mockResolvedValue({ id: '1' });
    const module = await Test.createTestingModule({
      providers: [Welcome, provideJobs(SendMail, { enqueue })],
    }).compile();
    await module.get(Welcome).mail.enqueue({ to: 'a' });
    expect(enqueue).toHaveBeenCalledWith({ to: 'a' });
  });

  it('rejects anything but a typed topic, and says which provider is missing', async () => {
    for (const wrong of ['send_mail', undefined, {}, null]) {
      expect(() => InjectJobs(wrong as never)).toThrow(InvalidOptionsError);
      expect(() => InjectJobs(wrong as never)).toThrow('the value of defineJob()');
    }
    const creation = Test.createTestingModule({ providers: [Welcome] }).compile();
    await expect(creation).rejects.toThrow("JobQueue of 'send_mail'");
  });

  it('works as the guide shows', async () => {
    const code = new GuideCode('guide/typed-topics.md');
    const Registration =
      code.exportOf<new (...args: never[]) => { register(to: string): Promise<string> }>('Registration');
    const app = await apps.start({ options: { role: 'producer' }, providers: [Registration] });
    const id = await app.module.get(Registration).register('a@example.org');
    expect(await app.job(id)).toMatchObject({ topic: 'send_mail', payload: { to: 'a@example.org' } });
  });
});
