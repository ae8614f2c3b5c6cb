import type { JobAction } from '../core/bulk.js';
import { ACTION_WORDS } from '../core/bulk.js';
import { JobNotFoundError, JobStateError, RowLockedError } from '../core/errors.js';
import type { Job, JobFilter, JobPage } from '../core/job.js';
import { normalJobId } from '../core/job-id.js';
import type { RequeueOptions } from '../core/job-options.js';
import { readRequeueOptions } from '../core/job-options.js';
import type { AnySchema } from '../core/job-topic.js';
import { validPayload } from '../core/job-topic.js';
import { cursorAfter, readListFilter } from '../core/list-filter.js';
import { encodePayload } from '../core/payload.js';
import type { JobStore, Moved, RequeueChanges } from '../store/job-store.js';
import type { Moves } from './moves.js';

export interface JobDeskOptions {
  readonly store: JobStore;
  readonly moves: Moves;
  readonly payloadBytesMax: number;
  /** What judges the payloads of a topic, where that is known. */
  readonly schemaOf: (topic: string) => AnySchema | undefined;
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
    const { items, lastId, total, totalCapped } = await this.options.store.reports.list(query);
    const nextCursor = lastId === null ? null : cursorAfter(lastId, query);
    return { items, total, totalCapped, limit, offset, nextCursor };
  }

  /** @throws InvalidPayloadError when the topic's schema refuses another payload: the one that is there stays */
  async requeue(id: string, options?: RequeueOptions): Promise<Job> {
    const changes = this.readChanges(options);
    if (changes.payload !== undefined) {
      await this.judge(id, options!.payload);
    }
    const moved = await this.move('requeue', id, changes);
    if (!moved.moved) {
      throw moved.holderId === null
        ? wrongStatus(moved, 'failed or cancelled', 'requeue')
        : new JobStateError(moved.id, `its unique key is held by job ${moved.holderId}`, moved.holderId);
    }
    return moved.job!;
  }

  async promote(id: string): Promise<Job> {
    const moved = await this.move('promote', id);
    if (!moved.moved) {
      throw wrongStatus(moved, 'pending', 'promote');
    }
    return moved.job!;
  }

  async cancel(id: string): Promise<Job> {
    const moved = await this.move('cancel', id);
    if (!moved.moved) {
      throw wrongStatus(moved, 'pending or processing', 'cancel');
    }
    return moved.job!;
  }

  async delete(id: string): Promise<void> {
    const moved = await this.move('delete', id);
    if (!moved.moved) {
      throw wrongStatus(moved, 'not processing', 'delete');
    }
  }

  private async move(action: JobAction, id: string, changes?: RequeueChanges): Promise<Moved> {
    const normal = normalJobId(id);
    const moved = normal === undefined ? undefined : (await this.options.moves.move(action, [normal], changes))[0];
    if (moved?.obstacle) {
      const { id: asked, obstacle: cause } = moved;
      const refusal = new JobStateError(asked, `cannot ${ACTION_WORDS[action]}: the database refuses it`, undefined, {
        cause,
      });
      throw cause instanceof RowLockedError ? cause : refusal;
    }
    if (!moved?.status) {
      throw new JobNotFoundError(id);
    }
    return moved;
  }

  private async judge(id: string, payload: unknown): Promise<void> {
    const job = await this.get(id);
    const schema = job && this.options.schemaOf(job.topic);
    if (schema) {
      await validPayload(schema, payload);
    }
  }

  private readChanges(options?: RequeueOptions): RequeueChanges {
    const { payload, ...changes } = readRequeueOptions(options);
    return payload === undefined
      ? changes
      : { ...changes, payload: encodePayload(payload, this.options.payloadBytesMax) };
  }
}

function wrongStatus({ id, status }: Moved, expected: string, action: JobAction): JobStateError {
  return new JobStateError(id, `cannot ${ACTION_WORDS[action]}: expected it to be ${expected}, it is ${status}`);
}
