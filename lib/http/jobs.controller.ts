import { Inject } from '@nestjs/common';
import { IdempotencyConflictError, JobNotFoundError, QueueUnavailableError } from '../core/errors.js';
import type { EnqueueOptions, Idempotency, Job, JobFilter } from '../core/job.js';
import { JOB_ACTIONS } from '../core/job-state.js';
import { MEBIBYTE } from '../core/limits.js';
import { JobsEngine } from '../engine/jobs-engine.js';
import type { Visit } from './access.js';
import { Access } from './access.js';
import { invalidRequest } from './api-error.js';
import type { ApiCall } from './api-route.js';
import { ApiRoute } from './api-route.js';
import type { HttpAnswer, HttpExchange, JsonAnswer } from './http-exchange.js';
import { emptyAnswer, jsonAnswer } from './http-exchange.js';
import { idempotencyKeyOf, idempotencyOf } from './idempotency.js';
import { listOfSchema, objectSchema, ref } from './json-schema.js';
import { MoveLog } from './move-log.js';
import type { FieldTable, FieldValues } from './request-fields.js';
import { BULK, BULK_FILTER, ENQUEUE, ENQUEUE_MANY, LIST, NOTHING, REQUEUE } from './requests.js';
import type { WireBulkAnswer, WireJob, WireJobList, WireJobPage } from './wire-jobs.js';
import { wireBulk, WireJobs, wirePage } from './wire-jobs.js';

type Call<Body extends FieldTable = FieldTable, Query extends FieldTable = FieldTable> = ApiCall<Body, Query>;

const MANY_BYTES_MAX = 16 * MEBIBYTE;
const JOB = ref('Job');

/** The routes that add, show and move jobs. */
export class JobsController {
  constructor(
    @Inject(JobsEngine) private readonly engine: JobsEngine,
    @Inject(Access) private readonly access: Access,
    @Inject(WireJobs) private readonly wireJobs: WireJobs,
    @Inject(MoveLog) private readonly log: MoveLog,
  ) {}

  @ApiRoute({
    method: 'POST',
    path: '/enqueue',
    access: 'enqueue',
    summary: 'Stores a job',
    isIdempotent: true,
    body: { name: 'EnqueueRequest', fields: ENQUEUE },
    answers: {
      201: { meaning: 'The job', schema: JOB },
      200: { meaning: 'The job that holds the unique key, or that this request has given before', schema: JOB },
    },
    errors: [422],
  })
  async enqueue({ exchange, visit, body }: Call<typeof ENQUEUE>): Promise<JsonAnswer<WireJob>> {
    const { topic, payload } = body;
    this.access.ensureTopics([topic]);
    const options = enqueueOptionsOf(body);
    const once = await this.idempotencyOf(exchange, visit, body);
    const job = await this.engine.enqueue(topic, payload, options, once).catch((error: unknown) => {
      throw error instanceof IdempotencyConflictError
        ? new IdempotencyConflictError(idempotencyKeyOf(exchange)!)
        : error;
    });
    const status = job.deduplicated || job.replayed ? 200 : 201;
    return jsonAnswer(status, await this.wireJobs.shown(job), { Location: `${exchange.basePath}/${job.id}` });
  }

  @ApiRoute({
    method: 'POST',
    path: '/enqueue-many',
    access: 'enqueue',
    summary: 'Stores jobs, all or none',
    body: { name: 'EnqueueManyRequest', fields: ENQUEUE_MANY },
    bodyBytesMax: MANY_BYTES_MAX,
    answers: {
      201: { meaning: 'The jobs, in the order of the request', schema: objectSchema({ items: listOfSchema(JOB) }) },
    },
  })
  async enqueueMany({ exchange, body: { jobs } }: Call<typeof ENQUEUE_MANY>): Promise<JsonAnswer<WireJobList>> {
    if (idempotencyKeyOf(exchange) !== undefined) {
      // Whoever sends one trusts that the request may be repeated: taken without it, all jobs would be there twice.
      throw invalidRequest({ idempotency_key: 'not taken for many jobs; send those one by one that may be repeated' });
    }
    this.access.ensureTopics(jobs.map(({ topic }) => topic));
    const stored = await this.engine.enqueueMany(
      jobs.map((job, index) => ({
        topic: job.topic,
        payload: job.payload,
        ...enqueueOptionsOf(job, `jobs[${index}].`),
      })),
    );
    return jsonAnswer(201, { items: await this.wireJobs.allShown(stored) });
  }

  @ApiRoute({
    method: 'GET',
    path: '',
    access: 'read',
    summary: 'One page of jobs, newest first',
    query: LIST,
    answers: { 200: { meaning: 'The page', schema: ref('JobPage') } },
  })
  async list({ query }: Call<FieldTable, typeof LIST>): Promise<JsonAnswer<WireJobPage>> {
    const { limit, offset, cursor } = query;
    const page = await this.engine.jobs.list(withoutGaps({ ...this.filterOf(query), limit, offset, cursor }));
    return jsonAnswer(200, wirePage(page, await this.wireJobs.allShown(page.items)));
  }

  @ApiRoute({
    method: 'POST',
    path: '/bulk',
    access: 'manage',
    summary: 'Re-queues, promotes, cancels or deletes many jobs',
    body: { name: 'BulkRequest', fields: BULK },
    bodyBytesMax: MANY_BYTES_MAX,
    answers: { 200: { meaning: 'What became of them', schema: ref('BulkAnswer') } },
  })
  async bulk({ visit, body }: Call<typeof BULK>): Promise<JsonAnswer<WireBulkAnswer>> {
    const { action, ids, filter, dry_run: dryRun } = body;
    const request = withoutGaps({ action, ids, filter: filter && this.filterOf(filter), dryRun });
    const meant = ids ? { ids } : { filter };
    const answer = await this.engine.bulk.run(request, this.access.topics).catch((error: unknown) => {
      if (error instanceof QueueUnavailableError && !dryRun) {
        // Some may have been moved before.
        this.log.note(visit, `began to ${JOB_ACTIONS[action].verb} jobs`, meant);
      }
      throw error;
    });
    if (answer.changed > 0) {
      const words = action === 'cancel' ? 'cancelled, or asked to end,' : JOB_ACTIONS[action].done;
      this.log.note(visit, `${words} ${answer.changed === 1 ? '1 job' : `${answer.changed} jobs`}`, meant);
    }
    return jsonAnswer(200, wireBulk(answer));
  }

  @ApiRoute({
    method: 'GET',
    path: '/:id',
    access: 'read',
    summary: 'One job',
    answers: { 200: { meaning: 'The job', schema: JOB } },
    errors: [404],
  })
  async get({ id }: Call): Promise<JsonAnswer<WireJob>> {
    return jsonAnswer(200, await this.wireJobs.shown(await this.reached(id)));
  }

  @ApiRoute({
    method: 'POST',
    path: '/:id/requeue',
    access: 'manage',
    summary: 'Puts a failed or cancelled job back, with all its retries',
    body: { name: 'RequeueRequest', fields: REQUEUE, isOptional: true },
    answers: { 200: { meaning: 'The job', schema: JOB } },
    errors: [404, 409],
  })
  async requeue({ id, visit, body }: Call<typeof REQUEUE>): Promise<JsonAnswer<WireJob>> {
    await this.ensureReached(id);
    const { payload, run_at: runAt, max_retries: maxRetries } = body;
    const job = await this.engine.jobs.requeue(id, withoutGaps({ payload, runAt, maxRetries }));
    const change = payload === undefined ? '' : ' with another payload';
    this.log.note(visit, `${JOB_ACTIONS.requeue.done} ${nameOf(job)}${change}`);
    return jsonAnswer(200, await this.wireJobs.shown(job));
  }

  @ApiRoute({
    method: 'POST',
    path: '/:id/promote',
    access: 'manage',
    summary: 'Runs a waiting job now instead of at its time',
    body: { fields: NOTHING, isOptional: true },
    answers: { 200: { meaning: 'The job, which is due', schema: JOB } },
    errors: [404, 409],
  })
  async promote({ id, visit }: Call): Promise<JsonAnswer<WireJob>> {
    await this.ensureReached(id);
    const job = await this.engine.jobs.promote(id);
    this.log.note(visit, `${JOB_ACTIONS.promote.done} ${nameOf(job)}`);
    return jsonAnswer(200, await this.wireJobs.shown(job));
  }

  @ApiRoute({
    method: 'POST',
    path: '/:id/cancel',
    access: 'manage',
    summary: 'Ends a waiting job at once; asks a running one to end',
    body: { fields: NOTHING, isOptional: true },
    answers: {
      200: { meaning: 'The job, which was waiting and is cancelled', schema: JOB },
      202: { meaning: 'The job, which is running and was asked to end', schema: JOB },
    },
    errors: [404, 409],
  })
  async cancel({ id, visit }: Call): Promise<JsonAnswer<WireJob>> {
    await this.ensureReached(id);
    const job = await this.engine.jobs.cancel(id);
    const isAsked = job.status === 'processing';
    this.log.note(visit, isAsked ? `asked ${nameOf(job)} to end` : `${JOB_ACTIONS.cancel.done} ${nameOf(job)}`);
    return jsonAnswer(isAsked ? 202 : 200, await this.wireJobs.shown(job));
  }

  @ApiRoute({
    method: 'DELETE',
    path: '/:id',
    access: 'manage',
    summary: 'Removes a job that is not running',
    body: { fields: NOTHING, isOptional: true },
    answers: { 204: { meaning: 'It is gone' } },
    errors: [404, 409],
  })
  async delete({ id, visit }: Call): Promise<HttpAnswer> {
    await this.ensureReached(id);
    await this.engine.jobs.delete(id);
    this.log.note(visit, `${JOB_ACTIONS.delete.done} job ${id}`);
    return emptyAnswer();
  }

  private async idempotencyOf(exchange: HttpExchange, visit: Visit, body: object): Promise<Idempotency | undefined> {
    const key = idempotencyKeyOf(exchange);
    // Where everybody may enqueue, one whom the guard refuses may, too. One of whom nobody can say who it is may not: taken
    // for somebody else, a repetition would be a second job.
    return key === undefined ? undefined : idempotencyOf(key, await this.access.known(visit), body);
  }

  /** @throws JobNotFoundError; ApiError 403 for a job of a topic that callers do not reach. */
  private async reached(id: string): Promise<Job> {
    const job = await this.engine.jobs.get(id);
    if (!job) {
      throw new JobNotFoundError(id);
    }
    this.access.ensureTopicOfJob(job.topic);
    return job;
  }

  /** Only where topics are narrowed is it worth a look. */
  private async ensureReached(id: string): Promise<void> {
    if (this.access.topics !== null) {
      await this.reached(id);
    }
  }

  private filterOf(given: FieldValues<typeof BULK_FILTER>): JobFilter {
    const { status, due, q, error_key: errorKey, created_from: createdFrom, created_to: createdTo } = given;
    const topic = this.access.narrowed(given.topic) ?? undefined;
    return withoutGaps({ topic, status, due, q, errorKey, createdFrom, createdTo });
  }
}

function nameOf({ id, topic }: Job): string {
  return `job ${id} of '${topic}'`;
}

/** @throws ApiError 400 when it is said twice when the job may run. */
function enqueueOptionsOf(given: FieldValues<typeof ENQUEUE>, place = ''): EnqueueOptions {
  const { run_at: runAt, delay, max_retries: maxRetries, priority, timeout, unique_key: uniqueKey, metadata } = given;
  if (runAt !== undefined && delay !== undefined) {
    throw invalidRequest({ [`${place}delay`]: 'contradicts run_at; give one of the two' });
  }
  return withoutGaps({ runAt, delay, maxRetries, priority, timeout, uniqueKey, metadata });
}

/** Members that are `undefined` are left out, so that defaults hold. */
function withoutGaps<T extends object>(given: T): { [Name in keyof T]: Exclude<T[Name], undefined> } {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as never;
}
