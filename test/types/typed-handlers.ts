import type { Job, JobContext, JobsService, JobTopic, PayloadOf, ResultOf } from 'nestjs-jobs';
import { CurrentJob, defineJob, JobHandler, Payload } from 'nestjs-jobs';
import type { Observable } from 'rxjs';
import { z } from 'zod';

// Checked only by the compiler, in `npm run check:types`: an expected error that does not occur is an error.

interface Mail {
  to: string;
}

interface Receipt {
  messageId: string;
}

const SendMail = defineJob<Mail, Receipt>('send_mail');
const schema = z.object({ at: z.iso.datetime().transform((text) => new Date(text)) });
const Remind = defineJob<z.input<typeof schema>, z.output<typeof schema>, Receipt>('remind', { schema });

class MailDto {
  to!: string;
}

export class Parameters {
  @JobHandler('x')
  none(): void {}

  @JobHandler('x')
  job(job: JobContext<Mail>): string {
    return job.payload.to;
  }

  @JobHandler('x')
  part({ payload }: Pick<JobContext<Mail>, 'payload' | 'id'>): string {
    return payload.to;
  }

  @JobHandler('x')
  unknown(job: unknown): unknown {
    return job;
  }

  @JobHandler('x')
  optional(job?: JobContext<Mail>): string | undefined {
    return job?.payload.to;
  }

  // @ts-expect-error -- the payload, with a member that the job has not
  @JobHandler('x')
  payload(payload: { rows: number }): number {
    return payload.rows;
  }

  // @ts-expect-error -- the payload, with a member that the job has, too
  @JobHandler('x')
  sameMember(payload: { id: string }): string {
    return payload.id;
  }

  // @ts-expect-error -- the payload, with the type of a topic
  @JobHandler(SendMail)
  typed(payload: Mail): Receipt {
    return { messageId: payload.to };
  }

  // @ts-expect-error -- the row of a job, not an attempt
  @JobHandler('x')
  row(job: Job<Mail>): string {
    return job.payload.to;
  }

  // @ts-expect-error -- text
  @JobHandler('x')
  text(to: string): string {
    return to;
  }

  // @ts-expect-error -- one decorated parameter needs the option
  @JobHandler('x')
  single(@Payload() mail: MailDto): string {
    return mail.to;
  }

  @JobHandler('x', { parameters: 'decorated', timeout: '30s' })
  declared(@Payload() mail: MailDto): string {
    return mail.to;
  }

  @JobHandler('x')
  several(@Payload() mail: MailDto, @CurrentJob() job: JobContext): string {
    return mail.to + job.id;
  }

  // @ts-expect-error -- another word
  @JobHandler('x', { parameters: 'all' })
  otherWord(@Payload() mail: MailDto): string {
    return mail.to;
  }
}

export abstract class Generic<T extends Mail> {
  @JobHandler('x')
  run(job: JobContext<T>): string {
    return job.payload.to;
  }

  @JobHandler('y')
  async generic<P>(job: JobContext<P>): Promise<P> {
    return Promise.resolve(job.payload);
  }
}

export class Results {
  @JobHandler(SendMail)
  value(job: JobContext<Mail, Receipt>): Receipt {
    return { messageId: job.id };
  }

  @JobHandler(SendMail)
  async promise(job: JobContext<Mail>): Promise<Receipt> {
    return Promise.resolve({ messageId: job.id });
  }

  @JobHandler(SendMail)
  observable(): Observable<Receipt> {
    throw new Error();
  }

  // @ts-expect-error -- another result
  @JobHandler(SendMail)
  async other(job: JobContext<Mail>): Promise<{ id: string }> {
    return Promise.resolve({ id: job.id });
  }

  // @ts-expect-error -- no result
  @JobHandler(SendMail)
  nothing(): void {}

  // @ts-expect-error -- another result, with decorated parameters
  @JobHandler(SendMail, { parameters: 'decorated' })
  decorated(@Payload() mail: MailDto): string {
    return mail.to;
  }

  @JobHandler(Remind)
  transformed(job: JobContext<{ at: Date }>): Receipt {
    return { messageId: job.payload.at.toISOString() };
  }

  @JobHandler(SendMail)
  async inTransaction(job: JobContext<Mail, Receipt>): Promise<Receipt> {
    const receipt = { messageId: job.id };
    await job.completeTx(job.manager, receipt);
    // @ts-expect-error -- another result
    await job.completeTx(job.manager, { id: job.id });
    return receipt;
  }
}

export function registers(jobs: JobsService): void {
  jobs.register('x', (job: JobContext<Mail>) => job.payload.to);
  jobs.register<Mail>('x', (job) => job.payload.to);
  jobs.register(SendMail, (job) => ({ messageId: job.payload.to }));
  jobs.register(SendMail, async (job) => Promise.resolve({ messageId: job.payload.to }));
  jobs.register(Remind, (job) => ({ messageId: job.payload.at.toISOString() }));
  // @ts-expect-error -- another result
  jobs.register(SendMail, (job) => ({ id: job.payload.to }));
  // @ts-expect-error -- the payload
  jobs.register('x', (payload: { rows: number }) => payload.rows);
  // @ts-expect-error -- the payload of a typed topic
  jobs.register(SendMail, (mail: Mail) => ({ messageId: mail.to }));
  // @ts-expect-error -- a second parameter
  jobs.register('x', (job: JobContext, done: () => void) => done());
}

export async function returns(jobs: JobsService, id: string): Promise<(Receipt | null | undefined)[]> {
  const job: Job<Mail, Receipt> = await jobs.enqueue(SendMail, { to: 'a@example.org' });
  const plain: Job<Mail> = await jobs.enqueue('x', { to: 'a@example.org' });
  const declared: Job<Mail> = await jobs.enqueue<Mail>('x', { to: 'a@example.org' });
  const held = await jobs.getByKey(SendMail, 'key');
  const read = await jobs.get<Mail, Receipt>(id);
  // @ts-expect-error -- a result may be absent
  const missing: string = job.result.messageId;
  const isBoolean: boolean = job.deduplicated;
  return [job.result, held?.result, read?.result, { messageId: `${missing}${plain.id}${declared.id}${isBoolean}` }];
}

/** A function of the application may take any typed topic. */
export function forwards<P>(jobs: JobsService, topic: JobTopic<P, unknown>, payload: P): Promise<Job<P>> {
  return jobs.enqueue(topic, payload);
}

export const types: [PayloadOf<typeof Remind>, ResultOf<typeof Remind>] = [
  { at: new Date() },
  { messageId: 'of the mail' },
];
