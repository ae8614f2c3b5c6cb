import { Inject } from '@nestjs/common';
import { JobsEngine } from '../engine/jobs-engine.js';
import { Access } from './access.js';
import type { ApiCall } from './api-route.js';
import { ApiRoute } from './api-route.js';
import type { JsonAnswer } from './http-exchange.js';
import { jsonAnswer } from './http-exchange.js';
import { JobStreams } from './job-streams.js';
import { ref } from './json-schema.js';
import type { FieldTable } from './request-fields.js';
import { TIMESERIES, TOPICS } from './requests.js';
import { WireJobs } from './wire-jobs.js';
import type { WireErrors, WireStats, WireTimeseries } from './wire-reports.js';
import { wireErrors, wireStats, wireTimeseries } from './wire-reports.js';

type Query<Table extends FieldTable> = ApiCall<FieldTable, Table>;

/** The routes that say how the queue is doing. */
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
    return jsonAnswer(200, wireStats(await this.engine.stats.get(this.access.narrowed(topic))));
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
    const points = await this.engine.stats.timeseries(minutes, this.access.narrowed(topic));
    return jsonAnswer(200, wireTimeseries(points));
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
    const { items, window } = await this.engine.errors.list(this.access.narrowed(topic));
    return jsonAnswer(200, wireErrors(await this.wireJobs.errorsShown(items), window));
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
}
