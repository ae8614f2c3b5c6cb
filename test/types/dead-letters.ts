import type { DeadLetter, JobContext } from 'nestjs-jobs';
import { defineJob, JobHandler, OnJobFailed } from 'nestjs-jobs';

// Checked only by the compiler, in `npm run check:types`: an expected error that does not occur is an error.

const Capture = defineJob<{ orderId: number }>('capture_payment', { deadLetter: 'capture_payment.dead' });

export class Failures {
  @JobHandler(Capture, { deadLetter: Capture })
  capture(): void {}

  @OnJobFailed(Capture)
  typed(job: JobContext<DeadLetter<{ orderId: number }>>): number {
    return job.payload.payload.orderId;
  }

  // @ts-expect-error -- the payload of the topic has no `userId`
  @OnJobFailed(Capture)
  wrong(job: JobContext<DeadLetter<{ userId: number }>>): number {
    return job.payload.payload.userId;
  }

  // @ts-expect-error -- the payload is a dead letter
  @OnJobFailed(Capture)
  bare(job: JobContext<{ orderId: number }>): number {
    return job.payload.orderId;
  }

  @OnJobFailed('mail', { maxRetries: 9 })
  named(job: JobContext<DeadLetter<{ to: string }>>): string {
    return job.payload.payload.to;
  }

  @OnJobFailed()
  all(job: JobContext<DeadLetter>): string {
    return job.payload.topic;
  }

  @OnJobFailed(undefined, { concurrency: 1 })
  none(): void {}

  // @ts-expect-error -- a batch needs @JobHandler
  @OnJobFailed('mail', { batch: { size: 10 } })
  batch(): void {}
}
