import { Controller, Get, Inject, Post, Put, Req, Res, UseFilters, UseGuards } from '@nestjs/common';
import { JobsEngine } from '../engine/jobs-engine.js';
import { AccessPolicy } from './access-policy.js';
import { AuditLog } from './audit-log.js';
import type { HttpRequest, HttpResponse } from './http-adapter.js';
import { sendJson, sendNothing } from './http-adapter.js';
import { JobsAdminGuard } from './jobs-admin.guard.js';
import { JobsApiErrorFilter } from './jobs-api-error.filter.js';
import { listOfSchema, objectSchema, ref } from './schemas.js';
import { toDefinedLimitsDto, toTopicListDto } from './report-serializer.js';
import { RequestReader } from './request-reader.js';
import { NO_FIELDS, TOPIC, TOPIC_LIMITS } from './requests.js';
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
    summary: 'Each topic in numbers',
    responses: {
      200: { meaning: 'The topics by name', schema: objectSchema({ items: listOfSchema(ref('TopicStats')) }) },
    },
  })
  async topics(@Req() request: HttpRequest, @Res() response: HttpResponse): Promise<void> {
    this.read.query(request, NO_FIELDS);
    const { topics } = this.access;
    await sendJson(response, 200, toTopicListDto(await this.engine.topics.list(topics), topics));
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
    this.access.ensureTopics([topic]);
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
    this.access.ensureTopics([topic]);
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
    this.access.ensureTopics([topic]);
    await this.engine.limits.set(topic, limits);
    const change = limits === null ? 'removed the limits' : `set the limits ${JSON.stringify(limits)}`;
    this.audit.record(request, `${change} of the topic '${topic}'`);
    const defined = (await this.engine.limits.list()).find((each) => each.topic === topic);
    await sendJson(response, 200, toDefinedLimitsDto(topic, defined));
  }
}
