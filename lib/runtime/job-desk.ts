import type { JobEvent } from '../core/events.js';
import { JobNotFoundError, JobStateError } from '../core/errors.js';
import type { Job, JobFilter, JobPage, JobStats } from '../core/job.js';
import { normalJobId } from '../core/job-id.js';
import { topicCheck } from '../core/options.js';
import { checked } from '../core/option-checks.js';
import { cursorAfter, readListFilter } from '../core/list-filter.js';
import type { RequeueOptions } from '../core/job-options.js';
import { readRequeueOptions } from '../core/job-options.js';
import type { JobsLogger } from '../core/logger.js';
import { encodePayload } from '../core/payload.js';
import type { JobStore, Moved, RequeueChanges } from '../store/job-store.js';

import { logMove } from './operation-log.js';

export interface JobDeskOptions {
  readonly store: JobStore;
  readonly logger: JobsLogger;
  readonly payloadBytesMax: number;
  readonly emit: (event: JobEvent) => void;
  /** Jobs of this topic are waiting again. */
  readonly onWaiting: (topic: string) => void;
  /** A cancel was requested for a job that runs, here or elsewhere. */
  readonly onCancelRequested: (id: string) => void;
}

/** Where people ask about jobs and move them by hand. */
export class JobDesk {
  constructor(private readonly options: JobDeskOptions) {}

  async get(id: string): Promise<Job | null> {
    const normal = normalJobId(id);
    return normal === undefined ? null : ((await this.options.store.find([normal]))[0] ?? null);
  }

  async list(filter?: JobFilter): Promise<JobPage> {
    const query = readListFilter(filter);
    const { limit, offset } = query;
    // One more than asked tells whether there is a next page.
    const { items, total, totalCapped } = await this.options.store.list({ ...query, limit: limit + 1 });
    const page = items.slice(0, limit);
    const nextCursor = items.length > limit ? cursorAfter(page.at(-1)!.id, query) : null;
    return { items: page, total, totalCapped, limit, offset, nextCursor };
  }

  async stats(topic?: string): Promise<JobStats> {
    return this.options.store.stats(topic === undefined ? undefined : checked(topicCheck, topic, 'topic'));
  }

  async requeue(id: string, options?: RequeueOptions): Promise<Job> {
    const changes = this.readChanges(options);
    const moved = await this.move(id, (ids) => this.options.store.requeue(ids, changes));
    if (!moved.moved) {
      throw moved.holderId === null
        ? wrongStatus(moved, 'failed or cancelled', 're-queue')
        : new JobStateError(moved.id, `its unique key is held by job ${moved.holderId}`, moved.holderId);
    }
    logMove(this.options.logger, 'requeued', moved);
    this.options.onWaiting(moved.topic!);
    return this.present(moved.id);
  }

  async cancel(id: string): Promise<Job> {
    const moved = await this.move(id, (ids) => this.options.store.cancel(ids));
    if (!moved.moved) {
      throw wrongStatus(moved, 'pending or processing', 'cancel');
    }
    if (moved.status === 'processing') {
      logMove(this.options.logger, 'cancel requested', moved);
      this.options.onCancelRequested(moved.id);
    } else {
      const { topic, attempt } = moved;
      this.options.emit({ type: 'cancelled', id: moved.id, topic: topic!, attempt, durationMs: null });
    }
    return this.present(moved.id);
  }

  async delete(id: string): Promise<void> {
    const moved = await this.move(id, (ids) => this.options.store.delete(ids));
    if (!moved.moved) {
      throw wrongStatus(moved, 'not processing', 'delete');
    }
    logMove(this.options.logger, 'deleted', moved);
  }

  private async move(id: string, verb: (ids: readonly string[]) => Promise<Moved[]>): Promise<Moved> {
    const normal = normalJobId(id);
    const moved = normal === undefined ? undefined : (await verb([normal]))[0];
    if (!moved?.status) {
      throw new JobNotFoundError(id);
    }
    return moved;
  }

  private async present(id: string): Promise<Job> {
    const job = await this.get(id);
    if (!job) {
      throw new JobNotFoundError(id);
    }
    return job;
  }

  private readChanges(options?: RequeueOptions): RequeueChanges {
    const { payload, ...changes } = readRequeueOptions(options);
    return payload === undefined
      ? changes
      : { ...changes, payload: encodePayload(payload, this.options.payloadBytesMax) };
  }
}

function wrongStatus({ id, status }: Moved, expected: string, verb: string): JobStateError {
  return new JobStateError(id, `cannot ${verb}: expected it to be ${expected}, it is ${status}`);
}
