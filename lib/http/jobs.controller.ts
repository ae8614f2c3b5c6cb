/*
 * http/: the HTTP API and the admin UI, as ordinary Nest controllers. In: requests. Out: responses.
 * A request passes jobs-admin.guard.ts (rules in access-policy.ts, callers in caller-resolver.ts). The controller reads it with
 * request-reader.ts, calls the engine and converts the result with a serializer. jobs-api-error.filter.ts responds to errors.
 * Read this file first, then requests.ts (the fields) and access-policy.ts. http-adapter.ts holds all that differs between Express
 * and Fastify; http-providers.ts mounts the controllers.
 */
import { Controller, Delete, Get, Inject, Post, Req, Res, UseFilters, UseGuards } from '@nestjs/common';
import { IdempotencyConflictError, QueueUnavailableError } from '../core/errors.js';
import type { Idempotency, Job, JobFilter } from '../core/job.js';
import { JOB_ACTIONS } from '../core/job-state.js';
import { JobsEngine } from '../engine/jobs-engine.js';
import { AccessPolicy, findAllowed } from './access-policy.js';
import { invalidRequest } from './api-error.js';
import { AuditLog } from './audit-log.js';
import type { HttpRequest, HttpResponse } from './http-adapter.js';
import { toPathname, sendJson, sendNothing } from './http-adapter.js';
import { NO_KEY_FOR_MANY } from './http.messages.js';
import { readIdempotencyKey, toIdempotency } from './idempotency.js';
import { JobSerializer, toBulkDto, toPageDto } from './job-serializer.js';
import { ensureDependantsAllowed, ensureParentsAllowed } from './jobs-groups.controller.js';
import { JobsAdminGuard } from './jobs-admin.guard.js';
import { JobsApiErrorFilter } from './jobs-api-error.filter.js';
import { listOfSchema, objectSchema, ref } from './schemas.js';
import { MANY_BYTES_MAX, RequestReader } from './request-reader.js';
import { BULK, ENQUEUE, ENQUEUE_MANY, LIST, LOGS, NO_FIELDS, REQUEUE } from './requests.js';
import { DescribeRoute } from './route-info.js';

const JOB = ref('Job');

/** Routes that enqueue, show and change jobs. */
@Controller()
@UseGuards(JobsAdminGuard)
@UseFilters(JobsApiErrorFilter)
export class JobsController {
  constructor(
    @Inject(JobsEngine) private readonly engine: JobsEngine,
    @Inject(AccessPolicy) private readonly access: AccessPolicy,
    @Inject(RequestReader) private readonly read: RequestReader,
    @Inject(JobSerializer) private readonly serializer: JobSerializer,
    @Inject(AuditLog) private readonly audit: AuditLog,
  ) {}

  @Post('enqueue')
  @DescribeRoute({
    access: 'enqueue',
    summary: 'Stores a job',
    isIdempotent: true,
    body: { name: 'EnqueueRequest', fields: ENQUEUE },
    responses: {
      201: { meaning: 'The job', schema: JOB },
      200: { meaning: 'The job that holds the unique key, or that this request stored before', schema: JOB },
    },
    errors: [422],
  })
  async enqueue(@Req() request: HttpRequest, @Res() response: HttpResponse): Promise<void> {
    const body = await this.read.body(request, ENQUEUE);
    const { topic, payload, ...options } = body;
    this.access.ensureTopics([topic]);
    const idempotency = await this.readIdempotency(request, body);
    const job = await this.engine.enqueue(topic, payload, options, idempotency).catch((error: unknown) => {
      throw error instanceof IdempotencyConflictError
        ? new IdempotencyConflictError(readIdempotencyKey(request)!)
        : error;
    });
    const basePath = toPathname(request.originalUrl).replace(/\/[^/]+\/*$/, '');
    const status = job.deduplicated || job.replayed ? 200 : 201;
    await sendJson(response, status, await this.serializer.job(job), { Location: `${basePath}/${job.id}` });
  }

  @Post('enqueue-many')
  @DescribeRoute({
    access: 'enqueue',
    summary: 'Stores jobs, all or none',
    body: { name: 'EnqueueManyRequest', fields: ENQUEUE_MANY },
    responses: {
      201: { meaning: 'The jobs, in the order of the request', schema: objectSchema({ items: listOfSchema(JOB) }) },
    },
  })
  async enqueueMany(@Req() request: HttpRequest, @Res() response: HttpResponse): Promise<void> {
    const { jobs } = await this.read.body(request, ENQUEUE_MANY, { bytesMax: MANY_BYTES_MAX });
    if (readIdempotencyKey(request) !== undefined) {
      // Ignoring the key would store all jobs twice when the caller repeats the request.
      throw invalidRequest({ idempotency_key: NO_KEY_FOR_MANY });
    }
    this.access.ensureTopics(jobs.map(({ topic }) => topic));
    await ensureParentsAllowed(this.engine, this.access, jobs);
    const stored = await this.engine.enqueueMany([...jobs]);
    await sendJson(response, 201, await this.serializer.list(stored));
  }

  @Get()
  @DescribeRoute({
    access: 'read',
    summary: 'One page of jobs, newest first, or by `order`',
    query: LIST,
    responses: { 200: { meaning: 'The page', schema: ref('JobPage') } },
  })
  async list(@Req() request: HttpRequest, @Res() response: HttpResponse): Promise<void> {
    const filter = this.read.query(request, LIST);
    const page = await this.engine.jobs.list(this.access.limitFilter(filter));
    await sendJson(response, 200, toPageDto(page, await this.serializer.explained(page.items)));
  }

  @Post('bulk')
  @DescribeRoute({
    access: 'manage',
    summary: 'Requeues, promotes, cancels or deletes many jobs',
    body: { name: 'BulkRequest', fields: BULK },
    responses: { 200: { meaning: 'How many jobs changed', schema: ref('BulkResult') } },
  })
  async bulk(@Req() request: HttpRequest, @Res() response: HttpResponse): Promise<void> {
    const body = await this.read.body(request, BULK, { bytesMax: MANY_BYTES_MAX });
    const { action, ids, dryRun, asOf, max, pace, cursor } = body;
    const filter = body.filter && this.access.limitFilter(body.filter);
    const selection = ids ? { ids } : { filter: filter && toLoggedFilter(filter) };
    const result = await this.engine.bulk
      .run(
        { action, ids, filter, dryRun, asOf, max, pace, cursor },
        this.access.topics,
        await this.audit.actor(request),
      )
      .catch((error: unknown) => {
        if (error instanceof QueueUnavailableError && !dryRun) {
          // Some jobs may have changed before the outage, so the action is audited.
          this.audit.record(request, `began to ${JOB_ACTIONS[action].verb} jobs`, selection);
        }
        throw error;
      });
    if (result.changed > 0) {
      const words = action === 'cancel' ? 'cancelled, or asked to end,' : JOB_ACTIONS[action].done;
      this.audit.record(request, `${words} ${result.changed === 1 ? '1 job' : `${result.changed} jobs`}`, selection);
    }
    await sendJson(response, 200, toBulkDto(result));
  }

  @Get(':id')
  @DescribeRoute({
    access: 'read',
    summary: 'One job',
    responses: { 200: { meaning: 'The job', schema: JOB } },
    errors: [404],
  })
  async get(@Req() request: HttpRequest, @Res() response: HttpResponse): Promise<void> {
    this.read.query(request, NO_FIELDS);
    await this.sendExplained(response, await this.find(request.params.id!));
  }

  @Get(':id/logs')
  @DescribeRoute({
    access: 'read',
    summary: 'The lines that the handler of a job has logged, oldest first',
    query: LOGS,
    responses: { 200: { meaning: 'The lines', schema: objectSchema({ items: listOfSchema(ref('JobLogLine')) }) } },
    errors: [404],
  })
  async logs(@Req() request: HttpRequest, @Res() response: HttpResponse): Promise<void> {
    const options = this.read.query(request, LOGS);
    const job = await this.find(request.params.id!);
    await sendJson(response, 200, await this.serializer.logs(job, await this.engine.jobs.logs(job.id, options)));
  }

  @Post(':id/requeue')
  @DescribeRoute({
    access: 'manage',
    summary: 'Returns a failed or cancelled job to the queue, with all its retries',
    body: { name: 'RequeueRequest', fields: REQUEUE, isOptional: true },
    responses: { 200: { meaning: 'The job', schema: JOB } },
    errors: [404, 409],
  })
  async requeue(@Req() request: HttpRequest, @Res() response: HttpResponse): Promise<void> {
    const changes = await this.read.body(request, REQUEUE, { isOptional: true });
    const id = await this.allowedId(request);
    if (changes.dependants) {
      await ensureDependantsAllowed(this.engine, this.access, id);
    }
    const job = await this.engine.jobs.requeue(id, changes, await this.audit.actor(request));
    const change = changes.payload === undefined ? '' : ' with another payload';
    this.audit.record(request, `${JOB_ACTIONS.requeue.done} ${describeJob(job)}${change}`);
    await this.sendExplained(response, job);
  }

  @Post(':id/promote')
  @DescribeRoute({
    access: 'manage',
    summary: 'Makes a waiting job due now',
    body: { fields: NO_FIELDS, isOptional: true },
    responses: { 200: { meaning: 'The job, which is due', schema: JOB } },
    errors: [404, 409],
  })
  async promote(@Req() request: HttpRequest, @Res() response: HttpResponse): Promise<void> {
    await this.read.nothing(request);
    const job = await this.engine.jobs.promote(await this.allowedId(request), await this.audit.actor(request));
    this.audit.record(request, `${JOB_ACTIONS.promote.done} ${describeJob(job)}`);
    await this.sendExplained(response, job);
  }

  @Post(':id/cancel')
  @DescribeRoute({
    access: 'manage',
    summary: 'Cancels a waiting job at once; asks a running one to end',
    body: { fields: NO_FIELDS, isOptional: true },
    responses: {
      200: { meaning: 'The job, which was waiting and is cancelled', schema: JOB },
      202: { meaning: 'The job, which is running and was asked to end', schema: JOB },
    },
    errors: [404, 409],
  })
  async cancel(@Req() request: HttpRequest, @Res() response: HttpResponse): Promise<void> {
    await this.read.nothing(request);
    const job = await this.engine.jobs.cancel(await this.allowedId(request), await this.audit.actor(request));
    const isRunning = job.status === 'processing';
    this.audit.record(
      request,
      isRunning ? `asked ${describeJob(job)} to end` : `${JOB_ACTIONS.cancel.done} ${describeJob(job)}`,
    );
    await sendJson(response, isRunning ? 202 : 200, await this.serializer.job(job));
  }

  @Delete(':id')
  @DescribeRoute({
    access: 'manage',
    summary: 'Deletes a job that is not running',
    body: { fields: NO_FIELDS, isOptional: true },
    responses: { 204: { meaning: 'The job is deleted' } },
    errors: [404, 409],
  })
  async delete(@Req() request: HttpRequest, @Res() response: HttpResponse): Promise<void> {
    await this.read.nothing(request);
    const id = await this.allowedId(request);
    await this.engine.jobs.delete(id);
    this.audit.record(request, `${JOB_ACTIONS.delete.done} job ${id}`);
    await sendNothing(response);
  }

  private async readIdempotency(request: HttpRequest, body: object): Promise<Idempotency | undefined> {
    const key = readIdempotencyKey(request);
    // A key belongs to a caller. If the application cannot identify the caller this throws: as another caller's key, the same key
    // would store a duplicate when the request is repeated.
    return key === undefined
      ? undefined
      : toIdempotency(key, await this.access.getIdentity(request).callerOrAnonymous(), body);
  }

  private async sendExplained(response: HttpResponse, job: Job): Promise<void> {
    const [dto] = await this.serializer.explained([job]);
    await sendJson(response, 200, dto!);
  }

  private find(id: string): Promise<Job> {
    return findAllowed(this.engine, this.access, id);
  }

  /** Returns the id in the path. Reads the job only if a whitelist of topics is set. @throws ApiError 403 for its topic. */
  private async allowedId({ params }: HttpRequest): Promise<string> {
    const id = params.id!;
    return this.access.topics === null ? id : (await this.find(id)).id;
  }
}

/** The text of a search may be part of a payload, which the log does not contain. */
function toLoggedFilter({ searchPayloads: _, ...filter }: JobFilter): object {
  return filter.q === undefined ? filter : { ...filter, q: '…' };
}

function describeJob({ id, topic }: Job): string {
  return `job ${id} of '${topic}'`;
}
