import { isDeepStrictEqual } from 'node:util';
import { Controller, Get, Inject, Req, Res, UseFilters, UseGuards } from '@nestjs/common';
import { JobsEngine } from '../engine/jobs-engine.js';
import type { AllowedTopics, RequestIdentity } from './access-policy.js';
import { AccessPolicy, findAllowed } from './access-policy.js';
import { forbidden, invalidRequest } from './api-error.js';
import type { HttpRequest, HttpResponse } from './http-adapter.js';
import { sendJson } from './http-adapter.js';
import { JobSerializer } from './job-serializer.js';
import { JobStreams } from './job-streams.js';
import { JobsAdminGuard } from './jobs-admin.guard.js';
import { JobsApiErrorFilter } from './jobs-api-error.filter.js';
import { listOfSchema, objectSchema, ref } from './schemas.js';
import { toErrorGroupsDto, toStatsDto, toTimeseriesDto, toWorkerListDto } from './report-serializer.js';
import { RequestReader } from './request-reader.js';
import { ERRORS, NO_FIELDS, STREAM, TIMESERIES, TOPICS } from './requests.js';
import { DescribeRoute } from './route-info.js';

/** Routes with the numbers of the queue, and the stream of its changes. */
@Controller()
@UseGuards(JobsAdminGuard)
@UseFilters(JobsApiErrorFilter)
export class JobsReportsController {
  constructor(
    @Inject(JobsEngine) private readonly engine: JobsEngine,
    @Inject(AccessPolicy) private readonly access: AccessPolicy,
    @Inject(RequestReader) private readonly read: RequestReader,
    @Inject(JobSerializer) private readonly serializer: JobSerializer,
    @Inject(JobStreams) private readonly streams: JobStreams,
  ) {}

  @Get('stats')
  @DescribeRoute({
    access: 'read',
    summary:
      'The queue in numbers, at most 2 s old while the table has fewer than 100,000 jobs; `counted_at` says how old',
    query: TOPICS,
    responses: { 200: { meaning: 'Counts and times', schema: ref('JobStats') } },
  })
  async stats(@Req() request: HttpRequest, @Res() response: HttpResponse): Promise<void> {
    const { topic } = this.read.query(request, TOPICS);
    const stats = await this.engine.stats.get(await this.limitTopics(request, topic));
    await sendJson(response, 200, toStatsDto(stats));
  }

  @Get('timeseries')
  @DescribeRoute({
    access: 'read',
    summary: 'Throughput and times per minute, and of the whole window',
    query: TIMESERIES,
    responses: { 200: { meaning: 'Every minute of the window, oldest first', schema: ref('Timeseries') } },
  })
  async timeseries(@Req() request: HttpRequest, @Res() response: HttpResponse): Promise<void> {
    const { topic, minutes = 60 } = this.read.query(request, TIMESERIES);
    const report = await this.engine.stats.report(minutes, await this.limitTopics(request, topic));
    await sendJson(response, 200, toTimeseriesDto(report));
  }

  @Get('errors')
  @DescribeRoute({
    access: 'read',
    summary: 'The newest failed and retrying jobs, grouped by topic and error',
    query: ERRORS,
    responses: { 200: { meaning: 'A page of the groups', schema: ref('ErrorGroups') } },
  })
  async errors(@Req() request: HttpRequest, @Res() response: HttpResponse): Promise<void> {
    const { topic, ...page } = this.read.query(request, ERRORS);
    const groups = await this.engine.errors.list(await this.limitTopics(request, topic), page);
    await sendJson(response, 200, toErrorGroupsDto(groups, await this.serializer.errorGroups(groups.items)));
  }

  @Get('workers')
  @DescribeRoute({
    access: 'read',
    summary: 'The processes that run jobs',
    responses: {
      200: {
        meaning: 'At most 1,000 processes, those that live first',
        schema: objectSchema({ items: listOfSchema(ref('WorkerProcess'), { maxItems: 1_000 }) }),
      },
    },
  })
  async workers(@Req() request: HttpRequest, @Res() response: HttpResponse): Promise<void> {
    this.read.query(request, NO_FIELDS);
    const identity = this.access.getIdentity(request);
    await this.access.ensureSomeTopic('read', identity);
    const workers = await this.engine.workers();
    const mayRead = await this.access.admitted(
      'read',
      identity,
      workers.flatMap(({ topics, handlers }) => [...topics, ...handlers.map(({ topic }) => topic)]),
    );
    const isLimited = await this.access.isLimited('read', identity);
    const shown = workers.filter(({ topics }) => !isLimited || topics.some(mayRead));
    await sendJson(response, 200, toWorkerListDto(shown, mayRead));
  }

  @Get('stream')
  @DescribeRoute({
    access: 'read',
    summary: 'Live events: stats at most once a second, changed with the topics whose jobs have changed',
    query: STREAM,
    responses: { 200: { meaning: 'Server-sent events', schema: ref('StreamText'), type: 'text/event-stream' } },
    errors: [404],
  })
  async stream(@Req() request: HttpRequest, @Res() response: HttpResponse): Promise<void> {
    const { job, topic } = this.read.query(request, STREAM);
    if (job !== undefined && topic !== undefined) {
      throw invalidRequest({ topic: 'contradicts job; give one of the two' });
    }
    const identity = this.access.getIdentity(request);
    if (job !== undefined) {
      const { id, topic: ofJob } = await findAllowed(this.engine, this.access, identity, job);
      this.streams.openJob(request, response, () => this.ensureAccess(identity, [ofJob]), id);
      return;
    }
    const topics = await this.access.limitTopics('read', identity, topic);
    const ensureSame = async (): Promise<void> => {
      const current = await this.ensureAccess(identity, topic);
      if (!isDeepStrictEqual(current, topics)) {
        // The client reconnects, and gets the events of the topics that it may read now.
        throw forbidden();
      }
    };
    this.streams.open(request, response, ensureSame, topics);
  }

  /** Identifies the caller again, and returns the topics that it may read now. @throws ApiError */
  private async ensureAccess(identity: RequestIdentity, topics: readonly string[] | undefined): Promise<AllowedTopics> {
    const current = identity.createUnresolved();
    await this.access.ensureAllowed('read', current);
    return this.access.limitTopics('read', current, topics);
  }

  private limitTopics(request: HttpRequest, topics: readonly string[] | undefined): Promise<AllowedTopics> {
    return this.access.limitTopics('read', this.access.getIdentity(request), topics);
  }
}
