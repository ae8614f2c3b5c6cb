import type { ScheduledWake } from '../../core/clock.js';
import { endsWithin } from '../../core/clock.js';
import type { Duration } from '../../core/duration.js';
import { JobNotFoundError, QueueUnavailableError } from '../../core/errors.js';
import { JobFailedError, WaitTimeoutError } from '../../core/wait-errors.js';
import type { JobEvent } from '../../core/job-events.js';
import { isFinal, parseJobId } from '../../core/job-state.js';
import type { Job } from '../../core/job.js';
import { SET_JOBS_MAX } from '../../core/bounds.js';
import type { Check } from '../../core/option-checks.js';
import { duration, optional, option, readOptions } from '../../core/option-checks.js';
import { runDetached } from '../../store/runtime/detached-context.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import { PollLoop } from '../runtime/poll-loop.js';

/** Options of `waitFor`. */
export interface WaitForOptions {
  /** How long to wait for the end of the job, at least 1 ms. Default `'30s'`. */
  timeout?: Duration | undefined;
  /** Ends the wait. The promise rejects with the reason of the signal. */
  signal?: AbortSignal | undefined;
}

type JobWaiterParts = Pick<EngineParts, 'store' | 'clock' | 'failureLog' | 'random'>;

/** Pauses between two queries. They grow with the time since the latest call. */
const PAUSE_MIN_MS = 50;
const PAUSE_MAX_MS = 1_000;
/** How long a stop waits for the query in flight. */
const STOP_GRACE_MS = 2_000;

const signalCheck: Check<AbortSignal> = {
  expects: 'an AbortSignal',
  // By its shape: a signal can come from another realm.
  parse: (value) =>
    typeof (value as AbortSignal | null)?.addEventListener === 'function' ? (value as AbortSignal) : undefined,
};

const waitForTable = {
  timeout: option(30_000, duration(1)),
  signal: optional(signalCheck),
};

/** A call of `waitFor`. */
interface Wait {
  end(job: Job): void;
  reject(error: Error): void;
}

/**
 * Waits for the end of jobs. One query serves all calls of the process. It runs with growing pauses of up to a second, because no
 * notification says that a job of another process has ended. A new call, and an event of this process that ends such a job, query that
 * job at once.
 */
export class JobWaiter {
  private readonly waits = new Map<string, Set<Wait>>();
  private readonly loop: PollLoop;
  /** Jobs to query at once. */
  private readonly dueIds = new Set<string>();
  /** When all jobs are queried. */
  private allDueAtMs = 0;
  private newestAtMs = 0;
  private isClosed = false;

  constructor(private readonly parts: JobWaiterParts) {
    const work = (): Promise<number> => this.check();
    this.loop = new PollLoop({ ...parts, name: 'waiting for the end of jobs', intervalMs: PAUSE_MAX_MS, work });
  }

  /** @see JobAdmin.waitFor */
  async waitFor(id: string, options: WaitForOptions = {}): Promise<Job> {
    const { timeout: timeoutMs, signal } = readOptions(waitForTable, options);
    const normal = parseJobId(id);
    if (normal === undefined) {
      throw new JobNotFoundError(id);
    }
    if (this.isClosed) {
      throw toStoppedError(normal);
    }
    signal?.throwIfAborted();
    return this.add(normal, timeoutMs, signal);
  }

  /** Queries at once when the event ends a job for which a call waits. */
  recordEvent({ id, type }: JobEvent): void {
    if (this.waits.size > 0 && ENDING.has(type) && this.waits.has(id)) {
      this.query(id);
    }
  }

  /** Rejects the current waits. Never rejects itself. Resolves when the last query has ended, or after `STOP_GRACE_MS`. */
  async stop(): Promise<void> {
    [...this.waits].forEach(([id, waits]) => waits.forEach((wait) => wait.reject(toStoppedError(id))));
    await endsWithin(this.parts.clock, STOP_GRACE_MS, this.loop.stop());
  }

  /** Rejects later calls too. */
  close(): Promise<void> {
    this.isClosed = true;
    return this.stop();
  }

  private add(id: string, timeoutMs: number, signal: AbortSignal | undefined): Promise<Job> {
    const { clock } = this.parts;
    return new Promise((resolve, reject) => {
      const end = (): void => {
        timer.cancel();
        signal?.removeEventListener('abort', onAbort);
        this.remove(id, wait);
      };
      const wait: Wait = {
        end: (job) => {
          end();
          if (job.status === 'completed') {
            resolve(job);
          } else {
            reject(new JobFailedError(job));
          }
        },
        reject: (error) => {
          end();
          reject(error);
        },
      };
      const onAbort = (): void => wait.reject(signal!.reason as Error);
      const timer: ScheduledWake = clock.schedule(timeoutMs, () => wait.reject(new WaitTimeoutError(id, timeoutMs)));
      signal?.addEventListener('abort', onAbort);
      this.waits.set(id, (this.waits.get(id) ?? new Set()).add(wait));
      this.newestAtMs = clock.now();
      // Outside the caller's transaction.
      runDetached(() => this.loop.start());
      this.query(id);
    });
  }

  private query(id: string): void {
    this.dueIds.add(id);
    this.loop.wake();
  }

  private remove(id: string, wait: Wait): void {
    const waits = this.waits.get(id);
    waits?.delete(wait);
    if (waits?.size === 0) {
      this.waits.delete(id);
      this.dueIds.delete(id);
    }
    if (this.waits.size === 0) {
      void this.loop.stop();
    }
  }

  /** Returns the pause until the next query. */
  private async check(): Promise<number> {
    const { clock } = this.parts;
    const isAllDue = clock.now() >= this.allDueAtMs;
    const ids = [...(isAllDue ? this.waits : this.dueIds).keys()];
    this.dueIds.clear();
    // After a failure all jobs are due.
    const allDueAtMs = this.allDueAtMs;
    this.allDueAtMs = 0;
    for (let from = 0; from < ids.length; from += SET_JOBS_MAX) {
      await this.checkPiece(ids.slice(from, from + SET_JOBS_MAX));
    }
    const nowMs = clock.now();
    const pauseMs = Math.min(PAUSE_MAX_MS, Math.max(PAUSE_MIN_MS, (nowMs - this.newestAtMs) / 2));
    this.allDueAtMs = isAllDue ? nowMs + pauseMs : Math.min(allDueAtMs, nowMs + pauseMs);
    return Math.max(0, this.allDueAtMs - nowMs);
  }

  /** Reads whole jobs only when they have ended: their payloads may be large. */
  private async checkPiece(ids: readonly string[]): Promise<void> {
    const { store } = this.parts;
    const found = new Map((await store.reports.summarize(ids)).map((job) => [job.id, job]));
    const endedIds = ids.filter((id) => found.has(id) && isFinal(found.get(id)!.status));
    const ended = endedIds.length === 0 ? [] : await store.find(endedIds);
    const jobs = new Map(ended.map((job) => [job.id, job]));
    for (const id of ids.filter((each) => !found.has(each) || endedIds.includes(each))) {
      const job = jobs.get(id);
      // A user may have re-queued it in between.
      if (!job || isFinal(job.status)) {
        [...(this.waits.get(id) ?? [])].forEach((wait) =>
          job ? wait.end(job) : wait.reject(new JobNotFoundError(id)),
        );
      }
    }
  }
}

const ENDING: ReadonlySet<JobEvent['type']> = new Set(['completed', 'failed', 'cancelled', 'expired']);

function toStoppedError(id: string): QueueUnavailableError {
  return new QueueUnavailableError(`waitFor: this process stopped before job ${id} ended; the job is not affected`);
}
