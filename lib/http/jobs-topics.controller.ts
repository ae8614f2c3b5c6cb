import { Controller, Get, Inject, Post, Put, Req, Res, UseFilters, UseGuards } from '@nestjs/common';
import { JobsEngine } from '../engine/jobs-engine.js';
import { AccessPolicy } from './access-policy.js';
import { AuditLog } from './audit-log.js';
import type { HttpRequest, HttpResponse } from './http-adapter.js';
import { sendJson, sendNothing } from './http-adapter.js';
import { JobsAdminGuard } from './jobs-admin.guard.js';
import { JobsApiErrorFilter } from './jobs-api-error.filter.js';
import { listOfSchema, objectSchema, orNull, ref } from './schemas.js';
import { toDefinedLimitsDto, toTopicListDto } from './report-serializer.js';
import { RequestReader } from './request-reader.js';
import { TOPIC, TOPIC_LIMITS, TOPIC_LIST, TOPICS_PAGE_MAX } from './requests.js';
import { DescribeRoute } from './route-info.js';

/** Routes that show, pause, resume and limit topics. */
@Controller()
@UseGuards(JobsAdminGuard)
@UseFilters(JobsApiErrorFilter)
export class JobsTopicsController {
  constructor(
    @Inject(JobsEngine) private readonly engine: JobsEngine,
    @Inject(AccessPolicy) private readonly access: AccessPolicy,
    @Inject(RequestReader) private readonly read: RequestReader,
    @Inject(AuditLog) private readonly audit: AuditLog,
  ) {}

  @Get('topics')
  @DescribeRoute({
    access: 'read',
    summary: 'One page of topics in numbers, by name',
    query: TOPIC_LIST,
    responses: {
      200: {
        meaning: 'The topics',
        schema: objectSchema({
          items: listOfSchema(ref('TopicStats')),
          next_after: {
            ...orNull({ type: 'string' }),
            description: 'The `after` of the next page; null on the last page',
          },
          other: {
            ...orNull(ref('OtherTopics')),
            description: 'The sum of the topics that no page lists, when more than 1,000 have jobs; else null',
          },
        }),
      },
    },
  })
  async topics(@Req() request: HttpRequest, @Res() response: HttpResponse): Promise<void> {
    const { topic, after, limit = TOPICS_PAGE_MAX } = this.read.query(request, TOPIC_LIST);
    const identity = this.access.getIdentity(request);
    const topics = await this.access.limitTopics('read', identity, topic);
    const page = await this.engine.topics.page(topics, { after, limit });
    const deadLetters = page.items.flatMap((each) => each.deadLetters);
    const mayRead = await this.access.admitted('read', identity, deadLetters);
    await sendJson(response, 200, toTopicListDto(page, mayRead));
  }

  @Post('topics/pause')
  @DescribeRoute({
    access: 'manage',
    summary: 'Stops starting jobs of a topic, in every process, until it is resumed',
    body: { name: 'TopicRequest', fields: TOPIC },
    responses: { 204: { meaning: 'The topic is paused' } },
  })
  async pause(@Req() request: HttpRequest, @Res() response: HttpResponse): Promise<void> {
    const { topic } = await this.read.body(request, TOPIC);
    await this.access.ensureTopics('manage', this.access.getIdentity(request), [topic]);
    await this.engine.topics.pause(topic);
    this.audit.record(request, `paused the topic '${topic}'`);
    await sendNothing(response);
  }

  @Post('topics/resume')
  @DescribeRoute({
    access: 'manage',
    summary: 'Starts jobs of a topic again',
    body: { name: 'TopicRequest', fields: TOPIC },
    responses: { 204: { meaning: 'The topic is not paused' } },
  })
  async resume(@Req() request: HttpRequest, @Res() response: HttpResponse): Promise<void> {
    const { topic } = await this.read.body(request, TOPIC);
    await this.access.ensureTopics('manage', this.access.getIdentity(request), [topic]);
    await this.engine.topics.resume(topic);
    this.audit.record(request, `resumed the topic '${topic}'`);
    await sendNothing(response);
  }

  @Put('topics/limits')
  @DescribeRoute({
    access: 'manage',
    summary: 'Sets the limits of a topic, in every process, or removes the setting',
    body: { name: 'LimitsRequest', fields: TOPIC_LIMITS },
    responses: { 200: { meaning: 'The limits that apply', schema: ref('DefinedLimits') } },
  })
  async setLimits(@Req() request: HttpRequest, @Res() response: HttpResponse): Promise<void> {
    const { topic, limits } = await this.read.body(request, TOPIC_LIMITS);
    await this.access.ensureTopics('manage', this.access.getIdentity(request), [topic]);
    await this.engine.limits.set(topic, limits);
    const change = limits === null ? 'removed the limits' : `set the limits ${JSON.stringify(limits)}`;
    this.audit.record(request, `${change} of the topic '${topic}'`);
    const defined = (await this.engine.limits.list()).find((each) => each.topic === topic);
    await sendJson(response, 200, toDefinedLimitsDto(topic, defined));
  }
}
