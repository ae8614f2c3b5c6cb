/*
 * http/: the HTTP API and the admin UI, as ordinary Nest controllers. In: requests. Out: responses.
 * A request passes jobs-admin.guard.ts (rules in access-policy.ts, callers in caller-resolver.ts). The controller reads it with
 * request-reader.ts, asks access-policy.ts for the topics of the request, calls the engine and converts the result with a
 * serializer. jobs-api-error.filter.ts responds to errors.
 * Read this file first, then requests.ts (the fields) and access-policy.ts. http-adapter.ts holds all that differs between Express
 * and Fastify; http-providers.ts mounts the controllers.
 */
import { Controller, Delete, Get, Inject, Post, Req, Res, UseFilters, UseGuards } from '@nestjs/common';
import { QueueUnavailableError } from '../core/errors.js';
import type { Job, JobFilter } from '../core/job.js';
import { JOB_ACTIONS } from '../core/job-state.js';
import { JobsEngine } from '../engine/jobs-engine.js';
import type { AllowedTopics } from './access-policy.js';
import { AccessPolicy, findAllowed } from './access-policy.js';
import { AuditLog } from './audit-log.js';
import type { HttpRequest, HttpResponse } from './http-adapter.js';
import { sendJson, sendNothing } from './http-adapter.js';
import { JobSerializer, toBulkDto, toPageDto } from './job-serializer.js';
import { ensureDependantsAllowed } from './jobs-groups.controller.js';
import { JobsAdminGuard } from './jobs-admin.guard.js';
import { JobsApiErrorFilter } from './jobs-api-error.filter.js';
import { listOfSchema, objectSchema, ref } from './schemas.js';
import { MANY_BYTES_MAX, RequestReader } from './request-reader.js';
import { BULK, LIST, LOGS, NO_FIELDS, REQUEUE } from './requests.js';
import { DescribeRoute } from './route-info.js';

const JOB = ref('Job');

/** Routes that show and change jobs. */
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

  @Get()
  @DescribeRoute({
    access: 'read',
    summary: 'One page of jobs, newest first, or by `order`',
    query: LIST,
    responses: { 200: { meaning: 'The page', schema: ref('JobPage') } },
  })
  async list(@Req() request: HttpRequest, @Res() response: HttpResponse): Promise<void> {
    const filter = this.read.query(request, LIST);
    const topics = await this.access.limitTopics('read', this.access.getIdentity(request), filter.topic);
    const page = await this.engine.jobs.list(this.access.limitSearch(filter), topics);
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
    const filter = body.filter && this.access.limitSearch(body.filter);
    const topics = await this.topicsOfBulk(request, body);
    const selection = ids ? { ids } : { filter: filter && toLoggedFilter(filter) };
    const result = await this.engine.bulk
      .run({ action, ids, filter, dryRun, asOf, max, pace, cursor }, topics, await this.audit.actor(request))
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
    await this.sendExplained(response, await this.find(request));
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
    const job = await this.find(request);
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
    const id = await this.changedId(request);
    if (changes.dependants) {
      await ensureDependantsAllowed(this.engine, this.access, this.access.getIdentity(request), id);
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
    const job = await this.engine.jobs.promote(await this.changedId(request), await this.audit.actor(request));
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
    const job = await this.engine.jobs.cancel(await this.changedId(request), await this.audit.actor(request));
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
    const id = await this.changedId(request);
    await this.engine.jobs.delete(id);
    this.audit.record(request, `${JOB_ACTIONS.delete.done} job ${id}`);
    await sendNothing(response);
  }

  private async sendExplained(response: HttpResponse, job: Job): Promise<void> {
    const [dto] = await this.serializer.explained([job]);
    await sendJson(response, 200, dto!);
  }

  private find(request: HttpRequest): Promise<Job> {
    return findAllowed(this.engine, this.access, this.access.getIdentity(request), request.params.id!);
  }

  /** Returns the id in the path. Reads the job only if the caller may not change all. @throws as `findAllowed`. */
  private async changedId(request: HttpRequest): Promise<string> {
    const id = request.params.id!;
    const identity = this.access.getIdentity(request);
    const isLimited = await this.access.isLimited('manage', identity);
    return isLimited ? (await findAllowed(this.engine, this.access, identity, id, 'manage')).id : id;
  }

  /** Returns the topics whose jobs a bulk request may change: those of its filter, or of its ids. */
  private async topicsOfBulk(
    request: HttpRequest,
    { ids, filter }: { readonly ids?: readonly string[]; readonly filter?: JobFilter },
  ): Promise<AllowedTopics> {
    const identity = this.access.getIdentity(request);
    if (!ids) {
      return this.access.limitTopics('manage', identity, filter?.topic as readonly string[] | undefined);
    }
    if (!(await this.access.isLimited('manage', identity))) {
      return null;
    }
    const topics = [...new Set((await this.engine.graphs.topics(ids)).values())];
    const isManaged = await this.access.admitted('manage', identity, topics);
    const managed = topics.filter(isManaged);
    if (managed.length === 0) {
      await this.access.ensureSomeTopic('manage', identity);
    }
    return managed;
  }
}

/** The text of a search may be part of a payload, which the log does not contain. */
function toLoggedFilter({ searchPayloads: _, ...filter }: JobFilter): object {
  return filter.q === undefined ? filter : { ...filter, q: '…' };
}

function describeJob({ id, topic }: Job): string {
  return `job ${id} of '${topic}'`;
}
