import { Controller, Inject, Post, Req, Res, UseFilters, UseGuards } from '@nestjs/common';
import { IdempotencyConflictError } from '../core/errors.js';
import type { Idempotency } from '../core/job.js';
import { JobsEngine } from '../engine/jobs-engine.js';
import { AccessPolicy } from './access-policy.js';
import { invalidRequest } from './api-error.js';
import { EnqueueAccess } from './enqueue-access.js';
import type { HttpRequest, HttpResponse } from './http-adapter.js';
import { toPathname, sendJson } from './http-adapter.js';
import { NO_KEY_FOR_MANY } from './http.messages.js';
import { readIdempotencyKey, toIdempotency } from './idempotency.js';
import { JobsAdminGuard } from './jobs-admin.guard.js';
import { JobsApiErrorFilter } from './jobs-api-error.filter.js';
import { listOfSchema, objectSchema, ref } from './schemas.js';
import { MANY_BYTES_MAX, RequestReader } from './request-reader.js';
import { ENQUEUE, ENQUEUE_MANY } from './requests.js';
import { DescribeRoute } from './route-info.js';

const JOB = ref('Job');

/** Routes that enqueue jobs. */
@Controller()
@UseGuards(JobsAdminGuard)
@UseFilters(JobsApiErrorFilter)
export class JobsEnqueueController {
  constructor(
    @Inject(JobsEngine) private readonly engine: JobsEngine,
    @Inject(AccessPolicy) private readonly access: AccessPolicy,
    @Inject(EnqueueAccess) private readonly enqueuing: EnqueueAccess,
    @Inject(RequestReader) private readonly read: RequestReader,
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
    const identity = this.access.getIdentity(request);
    await this.enqueuing.ensureAllowed(identity, [{ job: body, path: '' }]);
    const { topic, payload, ...options } = this.enqueuing.withoutComputedKey(body);
    const idempotency = await this.readIdempotency(request, body);
    const job = await this.engine.enqueue(topic, payload, options, idempotency).catch((error: unknown) => {
      throw error instanceof IdempotencyConflictError
        ? new IdempotencyConflictError(readIdempotencyKey(request)!)
        : error;
    });
    const basePath = toPathname(request.originalUrl).replace(/\/[^/]+\/*$/, '');
    const status = job.deduplicated || job.replayed ? 200 : 201;
    const [dto] = await this.enqueuing.toDtos(identity, [job]);
    await sendJson(response, status, dto!, { Location: `${basePath}/${job.id}` });
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
    const identity = this.access.getIdentity(request);
    await this.enqueuing.ensureAllowed(
      identity,
      jobs.map((job, index) => ({ job, path: `jobs[${index}].` })),
    );
    const stored = await this.engine.enqueueMany(jobs.map((job) => this.enqueuing.withoutComputedKey(job)));
    await sendJson(response, 201, { items: await this.enqueuing.toDtos(identity, stored) });
  }

  /** @throws ApiError 400 for a short key of a caller without an identity: one such caller would get the job of another. */
  private async readIdempotency(request: HttpRequest, body: object): Promise<Idempotency | undefined> {
    const key = readIdempotencyKey(request);
    // If the application cannot identify the caller this throws: as another caller's key, the same key would store a duplicate when the
    // request is repeated.
    return key === undefined
      ? undefined
      : toIdempotency(key, await this.access.getIdentity(request).callerOrAnonymous(), body);
  }
}
