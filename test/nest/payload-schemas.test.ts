/**
 * @matrix nest-11
 * @never postgres-18
 */

import { Injectable } from '@nestjs/common';
import type { JobContext, StandardSchema } from 'nestjs-jobs';
import { CurrentJob, defineJob, InvalidPayloadError, JobHandler, Payload, UnrecoverableError } from 'nestjs-jobs';
import * as v from 'valibot';
import { z } from 'zod';
import { useApps } from './support/apps.js';
import { everyKind, sqliteMemory } from './support/database-kinds.js';

interface Mail {
  to: string;
  at: Date;
  lines: { amount: number }[];
}

/** The same topic in two validators: the payload holds ISO text, the handler receives a Date. */
const zodMail = z.object({
  to: z.email(),
  at: z.iso.datetime().transform((text) => new Date(text)),
  lines: z.array(z.object({ amount: z.number().min(1, 'too few') })).default([]),
});
const valibotMail = v.object({
  to: v.pipe(v.string(), v.email()),
  at: v.pipe(
    v.string(),
    v.isoTimestamp(),
    v.transform((text) => new Date(text)),
  ),
  lines: v.optional(v.array(v.object({ amount: v.pipe(v.number(), v.minValue(1, 'too few')) })), []),
});

const SendMail = defineJob('send_mail', { schema: zodMail, maxRetries: 5 });
const PostMail = defineJob('post_mail', { schema: valibotMail });

const summary = ({ to, at, lines }: Mail): string => `${to} in ${at.getUTCFullYear()}, ${lines.length} lines`;

@Injectable()
class MailJobs {
  @JobHandler(SendMail)
  send(job: JobContext<Mail>): string {
    return summary(job.payload);
  }

  @JobHandler(PostMail)
  post(@Payload() mail: Mail, @CurrentJob() job: JobContext<Mail>): string {
    return `${job.topic} ${summary(mail)}`;
  }
}

const mail = { to: 'a@example.org', at: '2030-01-01T00:00:00.000Z', lines: [{ amount: 1 }, { amount: 2 }] };

describe.each(everyKind)('a topic with a schema on $label:', (kind) => {
  const apps = useApps(kind);

  it.each([
    ['Zod', SendMail, 'a@example.org in 2030, 2 lines'],
    ['Valibot', PostMail, 'post_mail a@example.org in 2030, 2 lines'],
  ])('%s stores the input and passes the output of the schema to the handler', async (_, topic, result) => {
    const app = await apps.start({ providers: [MailJobs] });
    const { id } = await app.jobs.enqueue(topic, mail);
    expect(await app.jobAfter('completed', id)).toMatchObject({ payload: mail, result });
  });

  it.each([
    ['Zod', 'payload.to', 'Invalid email address', SendMail, { ...mail, to: 'nobody' }],
    ['Zod', 'payload.lines[1].amount', 'too few', SendMail, { ...mail, lines: [{ amount: 1 }, { amount: 0 }] }],
    ['Valibot', 'payload.lines[0].amount', 'too few', PostMail, { ...mail, lines: [{ amount: 0 }] }],
  ])('%s rejects an invalid payload at enqueue with the path %s', async (_, path, reason, topic, payload) => {
    const app = await apps.start({ providers: [MailJobs] });
    for (const enqueue of [
      () => app.jobs.enqueue(topic, payload),
      () => app.jobs.enqueueAt(topic, payload, new Date()),
      () => app.jobs.enqueue(topic.name, payload),
      () =>
        app.jobs.enqueueMany([
          { topic: 'other', payload: 1 },
          { topic, payload },
        ]),
      () => app.dataSource.transaction((manager) => app.jobs.enqueueTx(manager, topic, payload)),
    ]) {
      const error: unknown = await enqueue().catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(InvalidPayloadError);
      expect(error).toMatchObject({ reason });
      // enqueueMany puts the index of the job in front of the path.
      expect((error as InvalidPayloadError).path.replace('jobs[1].', '')).toBe(path);
    }
    expect(await app.jobs.stats()).toMatchObject({ total: 0 });
  });

  it.each([
    ['Zod', SendMail],
    ['Valibot', PostMail],
  ])('%s fails an invalid stored job without a retry', async (_, topic) => {
    const app = await apps.start();
    const { id } = await app.jobs.enqueue(topic.name, { ...mail, lines: [{ amount: 0 }] });
    app.jobs.register(topic, () => 'never');
    expect(await app.jobAfter('failed', id)).toMatchObject({
      attempt: 1,
      retries: 0,
      maxRetries: 3,
      lastError: 'payload.lines[0].amount: too few',
    });
  });

  it.each([
    ['Zod', SendMail],
    ['Valibot', PostMail],
  ])('%s rejects an invalid payload at requeue and keeps the stored one', async (_, topic) => {
    const app = await apps.start();
    app.jobs.register(topic, () => Promise.reject(new UnrecoverableError('failed')));
    const { id } = await app.jobs.enqueue(topic, mail);
    await app.jobAfter('failed', id);
    const refused = app.jobs.requeue(id, { payload: { ...mail, lines: [{ amount: 0 }] } });
    await expect(refused).rejects.toMatchObject({ code: 'INVALID_PAYLOAD', path: 'payload.lines[0].amount' });
    expect(await app.jobs.get(id)).toMatchObject({ status: 'failed', payload: mail });
    expect(await app.jobs.requeue(id, { payload: mail })).toMatchObject({ status: 'pending' });
  });
});

describe('a schema', () => {
  const apps = useApps(sqliteMemory);

  it('reports all its issues in one error', async () => {
    const app = await apps.start({ providers: [MailJobs] });
    const payload = { to: 'nobody', at: 'soon', lines: [{ amount: 0 }] };
    const error: unknown = await app.jobs.enqueue(SendMail, payload).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      path: 'payload.to',
      issues: [
        { path: 'payload.to', reason: 'Invalid email address' },
        { path: 'payload.at', reason: 'Invalid ISO datetime' },
        { path: 'payload.lines[0].amount', reason: 'too few' },
      ],
      message:
        'payload.to: Invalid email address; payload.at: Invalid ISO datetime; payload.lines[0].amount: too few ' +
        "(schema of topic 'send_mail')",
    });
  });

  it('lists at most 50 issues', async () => {
    const app = await apps.start({ providers: [MailJobs] });
    const payload = { ...mail, lines: Array.from({ length: 60 }, () => ({ amount: 0 })) };
    const error: unknown = await app.jobs.enqueue(SendMail, payload).catch((thrown: unknown) => thrown);
    expect((error as InvalidPayloadError).issues).toHaveLength(50);
  });
  const createSchema = (validate: StandardSchema<string>['~standard']['validate']): StandardSchema<string> => ({
    '~standard': { version: 1, vendor: 'test', validate },
  });

  it('may be asynchronous, and an error that it throws causes a retry', async () => {
    let asked = 0;
    const Asking = defineJob('asking', {
      schema: createSchema(async (value) => {
        asked += 1;
        if (asked === 2) throw new Error('lookup failed');
        return { value: `known ${String(value)}` };
      }),
      backoff: { type: 'fixed', delay: 0 },
    });
    const app = await apps.start();
    app.jobs.register(Asking, (job) => job.payload);
    const { id } = await app.jobs.enqueue(Asking, 'anna');
    expect(await app.jobAfter('completed', id)).toMatchObject({ attempt: 2, retries: 1, result: 'known anna' });
  });

  it('may return paths with any keys', async () => {
    const Odd = defineJob('odd', {
      schema: createSchema(() => ({ issues: [{ message: 'odd', path: ['first name', { key: 0 }, 'a'] }] })),
    });
    const app = await apps.start();
    await expect(app.jobs.enqueue(Odd, 'x')).rejects.toThrow('payload["first name"][0].a: odd');
  });
});
