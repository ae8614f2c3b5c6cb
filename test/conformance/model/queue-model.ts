import type { ClaimToken, Outcome } from '../../../lib/core/job.js';
import type { FinalStatus, JobStatus } from '../../../lib/core/job-state.js';

/** A job of the model. Times are reduced to flags: due or later, lease valid or expired. */
export interface ModelJob {
  readonly id: string;
  readonly key: string | null;
  /** The first claim frees the key. Such jobs do not see the others, and the others do not see them. */
  readonly isUntilStarted: boolean;
  readonly maxRetries: number;
  status: JobStatus;
  attempt: number;
  retries: number;
  cancelRequested: boolean;
  /** The worker that owns the job while it is processing. */
  lockedBy: string | null;
  /** The job was claimed with no retry left and is not marked as started. */
  isUnstarted: boolean;
  isDue: boolean;
  isExpired: boolean;
}

/** The queue as simple code. Every database is compared with it. */
export class QueueModel {
  readonly jobs: ModelJob[] = [];
  /** Whether the topic of all jobs is paused. */
  isPaused = false;

  job(id: string): ModelJob | undefined {
    return this.jobs.find((job) => job.id === id);
  }

  /** Returns the job that holds a key. */
  findHolder(key: string | null, isUntilStarted: boolean): ModelJob | undefined {
    const holds = ({ status, attempt }: ModelJob): boolean =>
      status === 'pending' ? !isUntilStarted || attempt === 0 : status === 'processing' && !isUntilStarted;
    const isOfKind = (job: ModelJob): boolean => job.key === key && job.isUntilStarted === isUntilStarted;
    return key === null ? undefined : this.jobs.find((job) => isOfKind(job) && holds(job));
  }

  /** Returns the job that keeps an ended job from waiting again. */
  findOtherHolder({ key, isUntilStarted, attempt }: ModelJob): ModelJob | undefined {
    return isUntilStarted && attempt > 0 ? undefined : this.findHolder(key, isUntilStarted);
  }

  insert(job: Pick<ModelJob, 'id' | 'key' | 'isUntilStarted' | 'maxRetries' | 'isDue'>): void {
    const fresh = {
      attempt: 0,
      retries: 0,
      cancelRequested: false,
      lockedBy: null,
      isUnstarted: false,
      isExpired: false,
    };
    this.jobs.push({ ...job, ...fresh, status: 'pending' });
  }

  claimable(): ModelJob[] {
    return this.jobs.filter((job) => job.status === 'pending' && job.isDue && !this.isPaused);
  }

  claim(id: string, worker: string): ModelJob {
    const job = this.claimable().find((candidate) => candidate.id === id);
    if (!job) throw new Error(`${id} was claimed, and may not have been`);
    return Object.assign(job, {
      status: 'processing',
      attempt: job.attempt + 1,
      lockedBy: worker,
      isUnstarted: job.retries >= job.maxRetries,
      isExpired: false,
    });
  }

  /** Returns the job if this attempt owns it. */
  owned({ id, attempt }: ClaimToken): ModelJob | undefined {
    return this.jobs.find((job) => job.id === id && job.attempt === attempt && job.status === 'processing');
  }

  settle(job: ModelJob, { kind, ...outcome }: Outcome): void {
    const isSpent = job.retries >= job.maxRetries;
    job.lockedBy = null;
    if (job.cancelRequested) {
      job.status = 'cancelled';
    } else if (kind === 'completed' || kind === 'failed' || kind === 'cancelled') {
      job.status = kind;
    } else if (kind === 'retry' && isSpent) {
      job.status = 'failed';
    } else {
      job.status = 'pending';
      job.retries += kind === 'retry' ? 1 : 0;
      // A job that keeps its position was due when it was claimed.
      job.isDue = 'delayMs' in outcome && !outcome.delayMs;
    }
  }

  /** Removes jobs that these claims have ended and that are not kept. */
  discard(tokens: readonly ClaimToken[], discardStatuses: readonly FinalStatus[]): void {
    const isSettled = (job: ModelJob): boolean =>
      tokens.some(({ id, attempt }) => job.id === id && job.attempt === attempt);
    this.remove((job) => isSettled(job) && (discardStatuses as readonly JobStatus[]).includes(job.status));
  }

  /** Rescues all jobs with an expired lease. Returns their ids. */
  rescue(): string[] {
    const expired = this.jobs.filter((job) => job.status === 'processing' && job.isExpired);
    for (const job of expired) {
      job.lockedBy = null;
      if (job.cancelRequested) {
        job.status = 'cancelled';
      } else if (job.isUnstarted) {
        // The job was due when it was claimed and keeps its position.
        Object.assign(job, { status: 'pending', isDue: true });
      } else if (job.retries >= job.maxRetries) {
        job.status = 'failed';
      } else {
        Object.assign(job, { status: 'pending', retries: job.retries + 1, isDue: true });
      }
    }
    return expired.map(({ id }) => id);
  }

  /** Makes a pending job due. Returns whether it was pending. */
  promote(job: ModelJob): boolean {
    const mayMove = job.status === 'pending';
    if (mayMove) {
      job.isDue = true;
    }
    return mayMove;
  }

  requeue(job: ModelJob): boolean {
    const mayMove = ['failed', 'cancelled'].includes(job.status) && !this.findOtherHolder(job);
    if (mayMove) {
      Object.assign(job, { status: 'pending', retries: 0, cancelRequested: false, isDue: true });
    }
    return mayMove;
  }

  cancel(job: ModelJob): boolean {
    const mayMove = ['pending', 'processing'].includes(job.status);
    if (mayMove) {
      job.cancelRequested = true;
      job.status = job.status === 'pending' ? 'cancelled' : job.status;
    }
    return mayMove;
  }

  /** Removes the jobs for which `isGone` is true. Returns their number. */
  remove(isGone: (job: ModelJob) => boolean): number {
    const kept = this.jobs.filter((job) => !isGone(job));
    return this.jobs.splice(0, this.jobs.length, ...kept).length - kept.length;
  }
}
