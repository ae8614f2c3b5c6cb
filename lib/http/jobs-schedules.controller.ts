import { Controller, Delete, Get, Inject, Post, Put, Req, Res, UseFilters, UseGuards } from '@nestjs/common';
import { ScheduleNotFoundError } from '../core/errors.js';
import type { Schedule } from '../core/schedule.js';
import { JobsEngine } from '../engine/jobs-engine.js';
import { AccessPolicy } from './access-policy.js';
import { topicNotAllowed } from './api-error.js';
import { AuditLog } from './audit-log.js';
import type { HttpRequest, HttpResponse } from './http-adapter.js';
import { sendJson, sendNothing } from './http-adapter.js';
import { JobSerializer } from './job-serializer.js';
import { JobsAdminGuard } from './jobs-admin.guard.js';
import { JobsApiErrorFilter } from './jobs-api-error.filter.js';
import { RequestReader } from './request-reader.js';
import { NEXT_TICKS, NO_FIELDS, SCHEDULE } from './requests.js';
import { DescribeRoute } from './route-info.js';
import { listOfSchema, objectSchema, ref, TIME } from './schemas.js';

const A_SCHEDULE = ref('Schedule');
const nothing = { fields: NO_FIELDS, isOptional: true } as const;

/** Routes that show and change schedules. */
@Controller()
@UseGuards(JobsAdminGuard)
@UseFilters(JobsApiErrorFilter)
export class JobsSchedulesController {
  constructor(
    @Inject(JobsEngine) private readonly engine: JobsEngine,
    @Inject(AccessPolicy) private readonly access: AccessPolicy,
    @Inject(RequestReader) private readonly read: RequestReader,
    @Inject(JobSerializer) private readonly serializer: JobSerializer,
    @Inject(AuditLog) private readonly audit: AuditLog,
  ) {}

  @Get('schedules')
  @DescribeRoute({
    access: 'read',
    summary: 'All schedules',
    responses: {
      200: { meaning: 'The schedules, sorted by name', schema: objectSchema({ items: listOfSchema(A_SCHEDULE) }) },
    },
  })
  async list(@Req() request: HttpRequest, @Res() response: HttpResponse): Promise<void> {
    this.read.query(request, NO_FIELDS);
    const identity = this.access.getIdentity(request);
    await this.access.ensureSomeTopic('read', identity);
    const schedules = await this.engine.schedules.list();
    const topics = schedules.map(({ topic }) => topic);
    const mayRead = await this.access.admitted('read', identity, topics);
    const shown = schedules.filter(({ topic }) => mayRead(topic));
    await sendJson(response, 200, { items: await this.serializer.schedules(shown) });
  }

  @Get('schedules/:name')
  @DescribeRoute({
    access: 'read',
    summary: 'One schedule',
    responses: { 200: { meaning: 'The schedule', schema: A_SCHEDULE } },
    errors: [404],
  })
  async get(@Req() request: HttpRequest, @Res() response: HttpResponse): Promise<void> {
    this.read.query(request, NO_FIELDS);
    await sendJson(response, 200, await this.serializer.schedule(await this.find(request)));
  }

  @Get('schedules/:name/next')
  @DescribeRoute({
    access: 'read',
    summary: 'The next ticks of a schedule',
    query: NEXT_TICKS,
    responses: { 200: { meaning: 'The ticks, earliest first', schema: objectSchema({ items: listOfSchema(TIME) }) } },
    errors: [404],
  })
  async next(@Req() request: HttpRequest, @Res() response: HttpResponse): Promise<void> {
    const { count } = this.read.query(request, NEXT_TICKS);
    const { name } = await this.find(request);
    const ticks = await this.engine.schedules.next(name, count);
    await sendJson(response, 200, { items: ticks.map((tick) => tick.toISOString()) });
  }

  @Put('schedules/:name')
  @DescribeRoute({
    access: 'manage',
    summary: 'Creates a schedule, or replaces its definition',
    body: { name: 'ScheduleRequest', fields: SCHEDULE },
    responses: {
      200: { meaning: 'The schedule, which existed', schema: A_SCHEDULE },
      201: { meaning: 'The new schedule', schema: A_SCHEDULE },
    },
    errors: [409],
  })
  async put(@Req() request: HttpRequest, @Res() response: HttpResponse): Promise<void> {
    const { pattern, ...options } = await this.read.body(request, SCHEDULE);
    const name = request.params.name!;
    const identity = this.access.getIdentity(request);
    await this.access.ensureTopics('manage', identity, [options.topic]);
    const stored = await this.engine.schedules.get(name);
    const replaced = stored ? [stored.topic] : [];
    if (!replaced.every(await this.access.admitted('manage', identity, replaced))) {
      throw topicNotAllowed();
    }
    const { schedule, isNew } = await this.engine.schedules.put(name, pattern, options);
    this.audit.record(request, `${isNew ? 'created' : 'changed'} the schedule '${name}'`);
    await sendJson(response, isNew ? 201 : 200, await this.serializer.schedule(schedule));
  }

  @Delete('schedules/:name')
  @DescribeRoute({
    access: 'manage',
    summary: 'Removes a schedule; its jobs stay',
    body: nothing,
    responses: { 204: { meaning: 'The schedule is removed' } },
    errors: [404, 409],
  })
  async remove(@Req() request: HttpRequest, @Res() response: HttpResponse): Promise<void> {
    const name = await this.nameOfChange(request);
    await this.engine.schedules.remove(name);
    this.audit.record(request, `removed the schedule '${name}'`);
    await sendNothing(response);
  }

  @Post('schedules/:name/pause')
  @DescribeRoute({
    access: 'manage',
    summary: 'Stops a schedule, in every process, until it is resumed',
    body: nothing,
    responses: { 204: { meaning: 'The schedule is paused' } },
    errors: [404],
  })
  async pause(@Req() request: HttpRequest, @Res() response: HttpResponse): Promise<void> {
    const name = await this.nameOfChange(request);
    await this.engine.schedules.pause(name);
    this.audit.record(request, `paused the schedule '${name}'`);
    await sendNothing(response);
  }

  @Post('schedules/:name/resume')
  @DescribeRoute({
    access: 'manage',
    summary: 'Resumes a schedule, from its next tick',
    body: nothing,
    responses: { 204: { meaning: 'The schedule is not paused' } },
    errors: [404],
  })
  async resume(@Req() request: HttpRequest, @Res() response: HttpResponse): Promise<void> {
    const name = await this.nameOfChange(request);
    await this.engine.schedules.resume(name);
    this.audit.record(request, `resumed the schedule '${name}'`);
    await sendNothing(response);
  }

  @Post('schedules/:name/run')
  @DescribeRoute({
    access: 'manage',
    summary: 'Stores a job of the schedule now; its next tick stays',
    body: nothing,
    responses: { 201: { meaning: 'The job', schema: ref('Job') } },
    errors: [404],
  })
  async run(@Req() request: HttpRequest, @Res() response: HttpResponse): Promise<void> {
    const name = await this.nameOfChange(request);
    const job = await this.engine.schedules.run(name);
    this.audit.record(request, `ran the schedule '${name}' as job ${job.id}`);
    await sendJson(response, 201, await this.serializer.job(job));
  }

  /** Returns the name in the path of a route that changes a schedule. @throws as `find`; ApiError 403 for a schedule that the caller may only read. */
  private async nameOfChange(request: HttpRequest): Promise<string> {
    await this.read.nothing(request);
    const { name, topic } = await this.find(request, 'manage');
    await this.access.ensureTopics('manage', this.access.getIdentity(request), [topic]);
    return name;
  }

  /** @throws ScheduleNotFoundError, also for a schedule that the caller may not read; ApiError 401 or 403 for a caller without the right. */
  private async find(request: HttpRequest, right: 'read' | 'manage' = 'read'): Promise<Schedule> {
    const name = request.params.name!;
    const identity = this.access.getIdentity(request);
    const schedule = await this.engine.schedules.get(name);
    const mayRead = await this.access.admitted('read', identity, schedule ? [schedule.topic] : []);
    if (!schedule || !mayRead(schedule.topic)) {
      await this.access.ensureSomeTopic(right, identity);
      throw new ScheduleNotFoundError(name);
    }
    return schedule;
  }
}
