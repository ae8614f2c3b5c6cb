import type { JobContext, JobQueue, JobsService, PayloadOf } from 'nestjs-jobs';
import { defineJob, InjectJobs, JobHandler, provideJobs } from 'nestjs-jobs';
import type { EntityManager } from 'typeorm';
import * as v from 'valibot';
import { z } from 'zod';

// Checked only by the compiler, in `npm run check:types`: an expected error that does not occur is an error.

const Plain = defineJob<{ to: string }>('plain');
const SendMail = defineJob('send_mail', {
  schema: z.object({ to: z.email(), at: z.iso.datetime().transform((text) => new Date(text)) }),
});
const PostMail = defineJob('post_mail', {
  schema: v.object({
    to: v.string(),
    at: v.pipe(
      v.string(),
      v.transform((text) => new Date(text)),
    ),
  }),
});

export function enqueues(jobs: JobsService, manager: EntityManager): void {
  const right = { to: 'a@example.org', at: '2030-01-01T00:00:00.000Z' };
  // @ts-expect-error -- `to` is text
  void jobs.enqueue(Plain, { to: 1 });
  // @ts-expect-error -- `to` is missing
  void jobs.enqueue(Plain, {});
  // @ts-expect-error -- there is no `from`
  void jobs.enqueue(Plain, { to: 'a@example.org', from: 'b@example.org' });
  // @ts-expect-error -- what is enqueued is the text, not the Date that the schema makes of it
  void jobs.enqueue(SendMail, { ...right, at: new Date() });
  // @ts-expect-error -- the same with Valibot
  void jobs.enqueue(PostMail, { ...right, at: new Date() });
  // @ts-expect-error -- `to` is text
  void jobs.enqueueAt(SendMail, { ...right, to: 1 }, new Date());
  // @ts-expect-error -- `at` is missing
  void jobs.enqueueTx(manager, SendMail, { to: 'a@example.org' });
  // @ts-expect-error -- `to` is missing
  void jobs.enqueueMany([{ topic: Plain, payload: {} }]);
  void jobs.enqueueMany([
    { topic: SendMail, payload: right },
    // @ts-expect-error -- one wrong among right ones
    { topic: SendMail, payload: { ...right, to: 1 } },
    { topic: 'plain_text', payload: 1 },
  ]);
  // @ts-expect-error -- a list that was made elsewhere is checked, too
  void jobs.enqueueMany([1, 2].map((to) => ({ topic: Plain, payload: { to } })));
  void jobs.enqueueMany(['a', 'b'].map((to) => ({ topic: Plain, payload: { to } })));
  // @ts-expect-error -- the same in a group
  void jobs.enqueueGroup([1, 2].map((to) => ({ topic: Plain, payload: { to } })));
  void jobs.enqueueGroup(['a', 'b'].map((to) => ({ topic: Plain, payload: { to } })));
  void jobs.enqueueGroup([{ topic: 'plain_text', payload: 1 }], { onFinish: { topic: Plain, payload: { to: 'a' } } });
  // @ts-expect-error -- the handler is given a Date
  jobs.register(SendMail, (job: JobContext<{ at: string }>) => job.payload.at);
  jobs.register(SendMail, (job) => job.payload.at.getTime());
}

export async function reads(jobs: JobsService, id: string): Promise<string | undefined> {
  // @ts-expect-error -- unless the caller says what it is, a payload is unknown
  const stranger: string | undefined = (await jobs.get(id))?.payload;
  const job = await jobs.get<{ to: string }>(id);
  return job?.payload.to ?? stranger;
}

export class Handlers {
  // @ts-expect-error -- the handler is given a Date
  @JobHandler(SendMail)
  text(job: JobContext<{ to: string; at: string }>): string {
    return job.payload.at;
  }

  // @ts-expect-error -- a job of this topic has no `from`
  @JobHandler(Plain)
  from(job: JobContext<{ from: string }>): string {
    return job.payload.from;
  }

  @JobHandler(Plain)
  part(job: JobContext<{ to?: string }>): string | undefined {
    return job.payload.to;
  }

  @JobHandler(Plain)
  without(): void {}
}

/** Matches if each of the two types extends the other. */
type Same<A, B> = [A, B] extends [B, A] ? true : false;

export const payloads: [
  Same<PayloadOf<typeof Plain>, { to: string }>,
  Same<PayloadOf<typeof SendMail>, { to: string; at: Date }>,
  Same<PayloadOf<typeof PostMail>, { to: string; at: Date }>,
] = [true, true, true];

export async function queueOfOneTopic(mail: JobQueue<typeof SendMail>, manager: EntityManager): Promise<void> {
  const right = { to: 'a@example.org', at: '2030-01-01T00:00:00.000Z' };
  await mail.enqueue(right, { priority: 1 });
  await mail.enqueueTx(manager, right);
  await mail.enqueueMany([{ payload: right, delay: '1h' }], { manager });
  // @ts-expect-error -- `at` is missing
  await mail.enqueue({ to: 'a@example.org' });
  // @ts-expect-error -- the schema converts text
  await mail.enqueueAt({ to: 'a@example.org', at: new Date() }, new Date());
  // @ts-expect-error -- `at` is missing
  await mail.enqueueMany([{ payload: { to: 'a@example.org' } }]);
  // @ts-expect-error -- the topic is that of the queue
  await mail.list({ topic: 'other' });
  const [first] = (await mail.list()).items;
  // @ts-expect-error -- a stored payload is the input of the schema
  const at: Date = first!.payload.at;
  console.log(at);
  // @ts-expect-error -- a name is not a typed topic
  InjectJobs('send_mail');
  // @ts-expect-error -- a queue has no such method
  provideJobs(SendMail, { enqueueAll: () => null });
}
