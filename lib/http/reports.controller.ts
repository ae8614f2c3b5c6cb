import { Inject } from '@nestjs/common';
import { BULK_JOBS_MAX } from '../core/bulk.js';
import { PAGE_JOBS_MAX } from '../core/list-filter.js';
import { JobsEngine } from '../jobs-engine.js';
import { Access } from './access.js';
import type { ApiCall } from './api-route.js';
import { ApiRoute } from './api-route.js';
import type { JsonAnswer } from './http-exchange.js';
import { jsonAnswer } from './http-exchange.js';
import { JobStreams } from './job-streams.js';
import { listOfSchema, objectSchema, ref } from './json-schema.js';
import type { OpenApiDocument } from './openapi.js';
import { openApiDocument } from './openapi.js';
import type { FieldTable } from './request-fields.js';
import { TIMESERIES, TOPICS } from './requests.js';
import { VERSION } from './version.js';
import { WireJobs } from './wire-jobs.js';
import type { WireCapabilities, WireErrors, WireStats, WireTimeseries, WireTopicList } from './wire-reports.js';
import { wireErrors, wireStats, wireTimeseries, wireTopics } from './wire-reports.js';

type Query<Table extends FieldTable> = ApiCall<FieldTable, Table>;

/** The routes that say how the queue is doing, and what a caller may do with it. */
export class ReportsController {
  constructor(
    @Inject(JobsEngine) private readonly engine: JobsEngine,
    @Inject(Access) private readonly access: Access,
    @Inject(WireJobs) private readonly wireJobs: WireJobs,
    @Inject(JobStreams) private readonly streams: JobStreams,
  ) {}

  @ApiRoute({
    method: 'GET',
    path: '/stats',
    access: 'read',
    summary: 'The queue in numbers, at most 2 s old',
    query: TOPICS,
    answers: { 200: { meaning: 'Counts and times', schema: ref('JobStats') } },
  })
  async stats({ query: { topic } }: Query<typeof TOPICS>): Promise<JsonAnswer<WireStats>> {
    return jsonAnswer(200, wireStats(await this.engine.reports.stats(this.access.narrowed(topic))));
  }

  @ApiRoute({
    method: 'GET',
    path: '/timeseries',
    access: 'read',
    summary: 'Throughput and times per minute',
    query: TIMESERIES,
    answers: { 200: { meaning: 'Every minute of the window, oldest first', schema: ref('Timeseries') } },
  })
  async timeseries({ query: { topic, minutes = 60 } }: Query<typeof TIMESERIES>): Promise<JsonAnswer<WireTimeseries>> {
    const points = await this.engine.reports.timeseries(minutes, this.access.narrowed(topic));
    return jsonAnswer(200, wireTimeseries(points));
  }

  @ApiRoute({
    method: 'GET',
    path: '/topics',
    access: 'read',
    summary: 'Each topic in numbers',
    answers: {
      200: { meaning: 'The topics by name', schema: objectSchema({ items: listOfSchema(ref('TopicStats')) }) },
    },
  })
  async topics(): Promise<JsonAnswer<WireTopicList>> {
    const topics = await this.engine.reports.topics(this.access.topics);
    return jsonAnswer(200, wireTopics(topics));
  }

  @ApiRoute({
    method: 'GET',
    path: '/errors',
    access: 'read',
    summary: 'The newest failed jobs, grouped by topic and message',
    query: TOPICS,
    answers: { 200: { meaning: 'At most 100 groups, most frequent first', schema: ref('ErrorGroups') } },
  })
  async errors({ query: { topic } }: Query<typeof TOPICS>): Promise<JsonAnswer<WireErrors>> {
    const { items, window } = await this.engine.reports.errors(this.access.narrowed(topic));
    return jsonAnswer(200, wireErrors(await this.wireJobs.errorsShown(items), window));
  }

  @ApiRoute({
    method: 'GET',
    path: '/capabilities',
    access: 'any',
    summary: 'What this caller may do',
    answers: { 200: { meaning: 'What the caller may do, and limits of the API', schema: ref('Capabilities') } },
  })
  async capabilities({ visit }: ApiCall): Promise<JsonAnswer<WireCapabilities>> {
    const { caller, enqueue, read, manage } = await this.access.permissions(visit);
    const { payloadBytesMax } = this.engine.settings;
    return jsonAnswer(200, {
      admin: caller.kind === 'admin',
      authenticated: caller.kind !== 'anonymous',
      enqueue,
      read,
      manage,
      topics: this.access.topics,
      database: this.engine.database,
      version: VERSION,
      limits: { page: PAGE_JOBS_MAX, bulk: BULK_JOBS_MAX, payload_bytes: payloadBytesMax },
    });
  }

  @ApiRoute({
    method: 'GET',
    path: '/stream',
    access: 'read',
    summary: 'Live events: stats at most once a second, changed with the topics whose jobs have changed',
    answers: { 200: { meaning: 'Server-sent events', schema: ref('StreamText'), type: 'text/event-stream' } },
  })
  async stream({ exchange, visit }: ApiCall): Promise<undefined> {
    this.streams.open(exchange, () => this.access.ensureStill('read', visit));
  }

  @ApiRoute({
    method: 'GET',
    path: '/openapi.json',
    access: 'any',
    summary: 'This description',
    answers: { 200: { meaning: 'OpenAPI 3.1', schema: { type: 'object' } } },
  })
  async openapi({ exchange, routes }: ApiCall): Promise<JsonAnswer<OpenApiDocument>> {
    return jsonAnswer(200, openApiDocument(routes, exchange.basePath));
  }
}
