import { JobNotFoundError, JobStateError, RowLockedError } from '../../core/errors.js';
import type { Job, JobFilter, JobPage } from '../../core/job.js';
import type { JobAction } from '../../core/job-state.js';
import { JOB_ACTIONS, parseJobId } from '../../core/job-state.js';
import type { RequeueOptions } from '../../core/job-options.js';
import { readRequeueOptions } from '../../core/job-options.js';
import { toTopicName, validatePayload } from '../../core/job-topic.js';
import { buildCursor, readListFilter } from '../../core/list-filter.js';
import { checked } from '../../core/option-checks.js';
import { encodePayload } from '../../core/payload.js';
import type { TopicName } from '../../core/topic.js';
import { uniqueKeyCheck } from '../../core/unique-key.js';
import type { ActionResult, RequeueChanges } from '../../store/job-store.js';
import type { EngineParts } from '../engine-parts.js';
import type { JobActions } from './job-actions.js';

type JobAdminParts = Pick<EngineParts, 'store' | 'registry' | 'payloadBytesMax'> & { readonly actions: JobActions };

/** Where people ask about jobs and move them by hand. */
export class JobAdmin {
  constructor(private readonly options: JobAdminParts) {}

  async get(id: string): Promise<Job | null> {
    const normal = parseJobId(id);
    return normal === undefined ? null : ((await this.options.store.find([normal]))[0] ?? null);
  }

  async getByKey(topic: TopicName, uniqueKey: string): Promise<Job | null> {
    const key = checked(uniqueKeyCheck, uniqueKey, 'uniqueKey');
    return (await this.options.store.findHolder(toTopicName(topic), key)) ?? null;
  }

  async list(filter?: JobFilter): Promise<JobPage> {
    const query = readListFilter(filter);
    const { limit, offset } = query;
    const { items, lastId, total, totalCapped } = await this.options.store.reports.list(query);
    const nextCursor = lastId === null ? null : buildCursor(lastId, query);
    return { items, total, totalCapped, limit, offset, nextCursor };
  }

  /** @throws InvalidPayloadError when the topic's schema refuses the new payload. The job is unchanged then. */
  async requeue(id: string, options?: RequeueOptions): Promise<Job> {
    const changes = this.readChanges(options);
    if (changes.payload !== undefined) {
      await this.judge(id, changes.payload);
    }
    return (await this.moved('requeue', id, changes)).job!;
  }

  async promote(id: string): Promise<Job> {
    return (await this.moved('promote', id)).job!;
  }

  async cancel(id: string): Promise<Job> {
    return (await this.moved('cancel', id)).job!;
  }

  async delete(id: string): Promise<void> {
    await this.moved('delete', id);
  }

  private async moved(action: JobAction, id: string, changes?: RequeueChanges): Promise<ActionResult> {
    const normal = parseJobId(id);
    const answer =
      normal === undefined ? undefined : (await this.options.actions.move(action, [normal], { changes }))[0];
    if (answer?.moved) {
      return answer;
    }
    throw answer?.obstacle || answer?.status ? refusalOf(action, answer) : new JobNotFoundError(id);
  }

  private async judge(id: string, payload: string): Promise<void> {
    const job = await this.get(id);
    const schema = job && this.options.registry.get(job.topic)?.schema;
    if (schema) {
      await validatePayload(schema, JSON.parse(payload), job.topic);
    }
  }

  private readChanges(options?: RequeueOptions): RequeueChanges {
    const { payload, ...changes } = readRequeueOptions(options);
    return payload === undefined
      ? changes
      : { ...changes, payload: encodePayload(payload, this.options.payloadBytesMax) };
  }
}

function refusalOf(action: JobAction, { id, status, holderId, obstacle }: ActionResult): Error {
  const { verb, from } = JOB_ACTIONS[action];
  if (obstacle instanceof RowLockedError) {
    return obstacle;
  }
  if (obstacle) {
    return new JobStateError(id, `cannot ${verb}: the database refuses it`, undefined, { cause: obstacle });
  }
  return holderId === null
    ? new JobStateError(id, `cannot ${verb}: expected it to be ${from.join(' or ')}, it is ${status}`)
    : new JobStateError(id, `its unique key is held by job ${holderId}`, holderId);
}
