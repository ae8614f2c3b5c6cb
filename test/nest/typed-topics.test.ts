/**
 * @matrix nest-11
 * @never postgres-18
 */

import { Injectable } from '@nestjs/common';
import type { BackoffOptions, JobContext, JobFilter, StandardSchema } from 'nestjs-jobs';
import { defineJob, InvalidOptionsError, InvalidPayloadError, JobHandler } from 'nestjs-jobs';
import { useApps, useOneApp } from './support/apps.js';
import { everyKind, sqliteMemory } from './support/database-kinds.js';

interface Mail {
  to: string;
  at: string;
}

/** Requires an email address and converts the time to a Date. */
const mailSchema: StandardSchema<Mail, { to: string; at: Date }> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) => {
      const { to, at } = value as Mail;
      return to.includes('@')
        ? { value: { to, at: new Date(at) } }
        : { issues: [{ message: 'not an address', path: ['to'] }] };
    },
  },
};

const PlainMail = defineJob<{ to: string }>('plain_mail', { maxRetries: 7, priority: -5 });
const CheckedMail = defineJob('checked_mail', { schema: mailSchema });

@Injectable()
class MailJobs {
  @JobHandler(CheckedMail)
  checked(job: JobContext<{ to: string; at: Date }>): string {
    return `${job.payload.to} in ${job.payload.at.getUTCFullYear()}`;
  }

  @JobHandler(PlainMail, { maxRetries: 2 })
  plain(job: JobContext<{ to: string }>): string {
    return job.payload.to;
  }

  // @ts-expect-error -- the job of this topic has no `from`
  @JobHandler(PlainMail)
  wrong(job: JobContext<{ from: string }>): string {
    return job.payload.from;
  }
}
// The rejected declaration above would register a second handler for the topic.
delete (MailJobs.prototype as Partial<MailJobs>).wrong;

describe.each(everyKind)('a typed topic on $label', (kind) => {
  const apps = useApps(kind);
  const mail = { to: 'a@example.org', at: '2030-01-01T00:00:00.000Z' };

  it('stores the input and passes the output of its schema to the handler', async () => {
    const app = await apps.start({ providers: [MailJobs] });
    const { id } = await app.jobs.enqueue(CheckedMail, mail);
    expect(await app.jobAfter('completed', id)).toMatchObject({ payload: mail, result: 'a@example.org in 2030' });
  });

  it('rejects an invalid payload at enqueue, by its definition or its name, and stores nothing', async () => {
    const app = await apps.start({ providers: [MailJobs] });
    const refused = { ...mail, to: 'nobody' };
    for (const enqueue of [
      () => app.jobs.enqueue(CheckedMail, refused),
      () => app.jobs.enqueue('checked_mail', refused),
      () => app.jobs.enqueueMany([{ topic: CheckedMail, payload: refused }]),
    ]) {
      await expect(enqueue()).rejects.toThrow(InvalidPayloadError);
      await expect(enqueue()).rejects.toThrow('payload.to: not an address');
    }
    expect(await app.jobs.stats()).toMatchObject({ total: 0 });
  });

  it('fails an invalid stored job without a retry', async () => {
    const producer = await apps.start({});
    const { id } = await producer.jobs.enqueue('checked_mail', { ...mail, to: 'nobody' });
    producer.jobs.register(CheckedMail, () => 'never');
    await producer.jobs.whenIdle();
    expect(await producer.jobs.get(id)).toMatchObject({
      status: 'failed',
      attempt: 1,
      retries: 0,
      lastError: 'payload.to: not an address',
    });
  });

  it('has default options, which the options of a call override', async () => {
    const app = await apps.start({ providers: [MailJobs] });
    const payload = { to: 'a@example.org' };
    const own = { maxRetries: 7, priority: -5 };
    expect(await app.jobs.enqueue(PlainMail, payload)).toMatchObject(own);
    expect(await app.jobs.enqueueMany([{ topic: PlainMail, payload }])).toMatchObject([own]);
    expect(await app.jobs.enqueue(PlainMail, payload, { maxRetries: 1 })).toMatchObject({ maxRetries: 1 });
    expect(await app.jobs.enqueue('plain_mail', payload)).toMatchObject({ maxRetries: 2, priority: -5 });
  });

  it('without options of its own uses those of its handler', async () => {
    const Bare = defineJob<null>('bare');
    const handlers = { bare: [() => null, { maxRetries: 9, priority: 3 }] as const };
    const app = await apps.start({ handlers });
    const ofHandler = { maxRetries: 9, priority: 3 };
    expect(await app.jobs.enqueue(Bare, null)).toMatchObject(ofHandler);
    expect(await app.jobs.enqueueMany([{ topic: Bare, payload: null }])).toMatchObject([ofHandler]);
    const inTransaction = app.dataSource.transaction((manager) => app.jobs.enqueueTx(manager, Bare, null));
    expect(await inTransaction).toMatchObject(ofHandler);
    expect(await app.jobs.enqueue('bare', null)).toMatchObject(ofHandler);
  });

  it('has a timeout and a backoff, which count after those of the call and the handler, and before those of the module', async () => {
    const inHours = (hours: number): BackoffOptions => ({ type: 'fixed', delay: `${hours}h`, jitter: 0 });
    const Bare = defineJob<null>('bare');
    const Own = defineJob<null>('own', { timeout: 30, backoff: inHours(3) });
    const Both = defineJob<null>('both', { timeout: 30, backoff: inHours(3) });
    const app = await apps.start({ options: { timeout: 40, backoff: inHours(4) } });
    const hang = async ({ signal }: JobContext): Promise<void> =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
    app.jobs.register(Bare, hang);
    app.jobs.register(Own, hang);
    app.jobs.register(Both, hang, { timeout: 20, backoff: inHours(2) });
    const ofCall = { timeout: 10, backoff: inHours(1) };
    const jobs = await Promise.all([
      app.jobs.enqueue(Both, null, ofCall),
      app.jobs.enqueue(Both, null),
      app.jobs.enqueue(Own, null),
      app.jobs.enqueue(Bare, null),
    ]);
    await app.jobs.whenIdle();
    for (const [index, { id }] of jobs.entries()) {
      const { lastError, runAt, updated } = await app.job(id);
      expect(lastError).toContain(`longer than its timeout of ${(index + 1) * 10} ms`);
      expect(Math.round((runAt.getTime() - updated.getTime()) / 3_600_000)).toBe(index + 1);
    }
  });

  it('can replace its name in lists, stats and options', async () => {
    const app = await apps.start({ options: { topics: [PlainMail] }, providers: [MailJobs] });
    const waiting = await app.jobs.enqueue(CheckedMail, mail);
    const sent = await app.jobs.enqueue(PlainMail, { to: 'a@example.org' });
    await app.jobAfter('completed', sent.id);
    const listed = async (filter: JobFilter): Promise<string[]> =>
      (await app.jobs.list(filter)).items.map(({ id }) => id);
    expect(await listed({ topic: PlainMail })).toEqual([sent.id]);
    expect(await listed({ topic: [PlainMail, 'checked_mail'] })).toEqual([sent.id, waiting.id]);
    expect(await app.jobs.stats(CheckedMail)).toMatchObject({ pending: 1, total: 1 });
    await expect(app.jobs.list({ topic: { name: '' } })).rejects.toThrow(InvalidOptionsError);
  });

  it('does not compile with a payload of another type', async () => {
    const app = await apps.start({ providers: [MailJobs] });
    // @ts-expect-error -- `to` is text
    await app.jobs.enqueue(PlainMail, { to: 1 });
    // @ts-expect-error -- `to` is missing
    await app.jobs.enqueueMany([{ topic: PlainMail, payload: {} }]);
    await app.jobs.enqueueMany([
      { topic: PlainMail, payload: { to: 'b@example.org' } },
      { topic: 'plain_mail', payload: { to: 'c@example.org' } },
    ]);
    await app.jobs.whenIdle();
    expect(await app.jobs.stats()).toMatchObject({ completed: 4 });
  });
});

describe('an object that is no topic', () => {
  const app = useOneApp(sqliteMemory);
  const notATopic = { name: 'mail', data: 1 } as never;
  const notAText = 'expected text or the value of defineJob(), got an object';

  it('is rejected by each call that takes a topic, and the error shows the arguments of enqueue', async () => {
    const { jobs, dataSource } = app();
    const [option, message] = ['topic', `topic: ${notAText}; enqueue(topic, payload, options)`];
    await expect(jobs.enqueue(notATopic, undefined as never)).rejects.toMatchObject({ option, message });
    await expect(jobs.enqueueAt(notATopic, 1, new Date())).rejects.toMatchObject({ option, message });
    const inTransaction = dataSource.transaction((manager) => jobs.enqueueTx(manager, notATopic, 1));
    await expect(inTransaction).rejects.toMatchObject({ option, message });
    await expect(jobs.enqueueMany([{ topic: notATopic, payload: 1 }])).rejects.toMatchObject({
      message: `jobs[0].topic: ${notAText}`,
    });
    expect(() => jobs.register(notATopic, () => null)).toThrow(`topic: ${notAText}`);
  });
});

describe('defineJob', () => {
  it.each([
    ['an empty name', () => defineJob(''), /^topic: expected text/],
    ['an invalid schema', () => defineJob('a', { schema: {} as never }), /Standard Schema/],
    ['an unknown option', () => defineJob('a', { timeuot: 1 } as object), /^topic 'a': timeuot: /],
    ['an invalid value', () => defineJob('a', { maxRetries: -1 }), /^topic 'a': maxRetries: /],
  ])('rejects %s', (_, define, text) => {
    expect(define).toThrow(InvalidOptionsError);
    expect(define).toThrow(text);
  });
});
