import type { BatchedJob, JobBatch, JobContext, JobsService } from 'nestjs-jobs';
import { CurrentJob, defineJob, JobHandler, Payload } from 'nestjs-jobs';

// Checked only by the compiler, in `npm run check:types`: an expected error that does not occur is an error.

interface Doc {
  id: string;
}

interface Indexed {
  version: number;
}

const IndexDoc = defineJob<Doc, Indexed>('index_doc');
const batch = { size: 100, wait: '200ms' } as const;

export class Handlers {
  @JobHandler('x', { batch, concurrency: 2 })
  async all(jobs: JobBatch<Doc>): Promise<void> {
    for (const job of jobs) {
      job.complete({ id: job.payload.id });
    }
  }

  @JobHandler('x', { batch: { size: 2 } })
  array(jobs: readonly JobContext<Doc>[]): number {
    return jobs.length;
  }

  @JobHandler('x', { batch })
  members([first]: readonly BatchedJob<Doc>[]): void {
    first?.fail(new Error(first.payload.id));
    first?.snooze('5m');
  }

  @JobHandler('x', { batch })
  unknown(jobs: unknown): unknown {
    return jobs;
  }

  @JobHandler(IndexDoc, { batch })
  typed(jobs: JobBatch<Doc, Indexed>): void {
    jobs[0]?.complete({ version: 1 });
  }

  @JobHandler('x', { batch, parameters: 'decorated' })
  decorated(@Payload() docs: Doc[]): number {
    return docs.length;
  }

  @JobHandler('x', { batch })
  twoDecorated(@Payload() docs: Doc[], @CurrentJob() jobs: JobBatch<Doc>): void {
    jobs.forEach((job, index) => job.complete(docs[index]));
  }

  // @ts-expect-error -- a batch handler takes an array
  @JobHandler('x', { batch })
  one(job: JobContext<Doc>): string {
    return job.payload.id;
  }

  // @ts-expect-error -- a batch handler takes a parameter
  @JobHandler('x', { batch })
  none(): void {}

  // @ts-expect-error -- the jobs, not their payloads
  @JobHandler('x', { batch })
  payloads(docs: readonly Doc[]): number {
    return docs.length;
  }

  // @ts-expect-error -- another payload than that of the topic
  @JobHandler(IndexDoc, { batch })
  otherPayload(jobs: JobBatch<{ path: string }>): string | undefined {
    return jobs[0]?.payload.path;
  }

  // @ts-expect-error -- without the option batch a handler takes one job
  @JobHandler('x')
  withoutOption(jobs: JobBatch<Doc>): number {
    return jobs.length;
  }

  // @ts-expect-error -- no size
  @JobHandler('x', { batch: { wait: '1s' } })
  noSize(jobs: JobBatch<Doc>): number {
    return jobs.length;
  }

  @JobHandler('x', { batch })
  readonly(jobs: JobBatch<Doc>): void {
    // @ts-expect-error -- the array is readonly
    jobs.length = 0;
    // @ts-expect-error -- not a duration
    jobs[0]?.snooze('soon');
  }
}

export function register(jobs: JobsService): void {
  jobs.register<Doc>('x', async (members) => members[0]?.complete(members[0].payload.id), { batch });
  jobs.register(IndexDoc, (members) => members.forEach((job) => job.complete({ version: job.payload.id.length })), {
    batch,
  });
  jobs.register('x', async (members) => members.completeTx(members[0]!.manager), { batch });
  // @ts-expect-error -- a batch handler takes an array
  jobs.register<Doc>('x', (job: JobContext<Doc>) => job.payload.id, { batch });
  // @ts-expect-error -- without the option batch a handler takes one job
  jobs.register<Doc>('x', (members: JobBatch<Doc>) => members.length);
  // @ts-expect-error -- another result than that of the topic
  jobs.register(IndexDoc, (members) => members[0]?.complete({ version: '1' }), { batch });
}

// @ts-expect-error -- a batch belongs to the handler, not to the topic
export const wrongTopic = defineJob<Doc>('x', { batch });
