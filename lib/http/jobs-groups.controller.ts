import { Controller, Get, Inject, Post, Req, Res, UseFilters, UseGuards } from '@nestjs/common';
import { GroupNotFoundError } from '../core/errors.js';
import type { JobGroup } from '../core/job-group.js';
import { GROUPS_PAGE } from '../core/job-group.js';
import { JobsEngine } from '../engine/jobs-engine.js';
import { AccessPolicy, findAllowed } from './access-policy.js';
import { topicNotAllowed } from './api-error.js';
import { AuditLog } from './audit-log.js';
import type { HttpRequest, HttpResponse } from './http-adapter.js';
import { sendJson } from './http-adapter.js';
import { JobSerializer } from './job-serializer.js';
import { JobsAdminGuard } from './jobs-admin.guard.js';
import { JobsApiErrorFilter } from './jobs-api-error.filter.js';
import { toFullGroupDto, toGraphDto, toGroupDto } from './report-serializer.js';
import { MANY_BYTES_MAX, RequestReader } from './request-reader.js';
import { GROUP, GROUP_LIST, NO_FIELDS } from './requests.js';
import { DescribeRoute } from './route-info.js';
import { listOfSchema, objectSchema, orNull, ref, UUID } from './schemas.js';

const A_GROUP = ref('JobGroup');

/** Routes of groups and of graphs of jobs. */
@Controller()
@UseGuards(JobsAdminGuard)
@UseFilters(JobsApiErrorFilter)
export class JobsGroupsController {
  constructor(
    @Inject(JobsEngine) private readonly engine: JobsEngine,
    @Inject(AccessPolicy) private readonly access: AccessPolicy,
    @Inject(RequestReader) private readonly read: RequestReader,
    @Inject(JobSerializer) private readonly serializer: JobSerializer,
    @Inject(AuditLog) private readonly audit: AuditLog,
  ) {}

  @Post('groups')
  @DescribeRoute({
    access: 'enqueue',
    summary: 'Stores the jobs of a group and its callbacks, all or none; with id, adds jobs to a group',
    body: { name: 'GroupRequest', fields: GROUP },
    responses: {
      201: {
        meaning: 'The group and its jobs, in the order of the request',
        schema: objectSchema({ id: UUID, jobs: listOfSchema(ref('Job')) }),
      },
    },
    errors: [404],
  })
  async create(@Req() request: HttpRequest, @Res() response: HttpResponse): Promise<void> {
    const { jobs, ...options } = await this.read.body(request, GROUP, { bytesMax: MANY_BYTES_MAX });
    const { id, onSuccess, onFinish, onFailure } = options;
    const callbacks = [onSuccess, onFinish, onFailure].filter((job) => job !== undefined);
    this.access.ensureTopics([...jobs, ...callbacks].map(({ topic }) => topic));
    if (id !== undefined) {
      await this.find(id);
    }
    await ensureParentsAllowed(this.engine, this.access, jobs);
    const stored = await this.engine.groups.enqueue(jobs, options);
    await sendJson(response, 201, { id: stored.id, jobs: await this.serializer.jobs(stored.jobs) });
  }

  @Get('groups')
  @DescribeRoute({
    access: 'read',
    summary: 'One page of groups, newest first',
    query: GROUP_LIST,
    responses: {
      200: {
        meaning: 'The groups',
        schema: objectSchema({
          items: listOfSchema(A_GROUP),
          next_before: { ...orNull(UUID), description: 'The `before` of the next page; null on the last page' },
        }),
      },
    },
  })
  async list(@Req() request: HttpRequest, @Res() response: HttpResponse): Promise<void> {
    const { limit = GROUPS_PAGE, ...filter } = this.read.query(request, GROUP_LIST);
    // One more than the page shows whether there is a next page.
    const read = await this.engine.groups.list({ ...filter, limit: limit + 1 });
    const groups = read.slice(0, limit);
    await sendJson(response, 200, {
      items: (await this.selectAllowed(groups)).map(toGroupDto),
      next_before: read.length > limit ? groups.at(-1)!.id : null,
    });
  }

  @Get('groups/:id')
  @DescribeRoute({
    access: 'read',
    summary: 'One group and the jobs that wait for it',
    responses: { 200: { meaning: 'The group', schema: ref('JobGroupWithCallbacks') } },
    errors: [404],
  })
  async get(@Req() request: HttpRequest, @Res() response: HttpResponse): Promise<void> {
    this.read.query(request, NO_FIELDS);
    const group = await this.find(request.params.id!);
    await sendJson(response, 200, toFullGroupDto(group, await this.engine.groups.callbacks(group.id)));
  }

  @Post('groups/:id/cancel')
  @DescribeRoute({
    access: 'manage',
    summary: 'Cancels the waiting jobs of a group; asks the running ones to end',
    body: { fields: NO_FIELDS, isOptional: true },
    responses: { 202: { meaning: 'The group', schema: A_GROUP } },
    errors: [404],
  })
  async cancel(@Req() request: HttpRequest, @Res() response: HttpResponse): Promise<void> {
    await this.read.nothing(request);
    const { id } = await this.find(request.params.id!);
    const group = await this.engine.groups.cancel(id, await this.audit.actor(request));
    this.audit.record(request, `cancelled the group ${id}`);
    await sendJson(response, 202, toGroupDto(group));
  }

  @Get(':id/graph')
  @DescribeRoute({
    access: 'read',
    summary: 'The jobs on which a job depends, and those that depend on it',
    responses: { 200: { meaning: 'The graph', schema: ref('JobGraph') } },
    errors: [404],
  })
  async graph(@Req() request: HttpRequest, @Res() response: HttpResponse): Promise<void> {
    this.read.query(request, NO_FIELDS);
    const job = await findAllowed(this.engine, this.access, request.params.id!);
    const { topics } = this.access;
    const isShown = (topic: string | null): boolean => topics === null || (topic !== null && topics.includes(topic));
    await sendJson(response, 200, toGraphDto(await this.engine.graphs.get(job.id), isShown));
  }

  /** @throws GroupNotFoundError, also for a group with a topic that is not allowed. */
  private async find(id: string): Promise<JobGroup> {
    const group = await this.engine.groups.get(id);
    const [allowed] = await this.selectAllowed(group ? [group] : []);
    if (!allowed) {
      throw new GroupNotFoundError(id);
    }
    return allowed;
  }

  /** Leaves out groups with a topic that is not allowed. Reads the topics only if a whitelist is set. */
  private async selectAllowed(groups: readonly JobGroup[]): Promise<readonly JobGroup[]> {
    const { topics } = this.access;
    if (topics === null || groups.length === 0) {
      return groups;
    }
    const found = await this.engine.groups.topics(groups.map(({ id }) => id));
    const hidden = new Set(found.filter(({ topic }) => !topics.includes(topic)).map(({ groupId }) => groupId));
    return groups.filter(({ id }) => !hidden.has(id));
  }
}

/** Reads the parents only if a whitelist of topics is set. @throws ApiError 403 for a parent of a topic that is not allowed. */
export async function ensureParentsAllowed(
  engine: JobsEngine,
  access: AccessPolicy,
  jobs: readonly { readonly dependsOn?: readonly string[] | undefined }[],
): Promise<void> {
  const names = access.topics === null ? [] : [...new Set(jobs.flatMap(({ dependsOn = [] }) => dependsOn))];
  (await engine.graphs.topics(names)).forEach((topic) => access.ensureTopicOfJob(topic));
}

/**
 * Reads the graph of a job only if a whitelist of topics is set.
 *
 * @throws ApiError 403 when a descendant of the job has a topic that is not allowed, or the graph is too large to be read.
 */
export async function ensureDependantsAllowed(engine: JobsEngine, access: AccessPolicy, id: string): Promise<void> {
  if (access.topics === null) {
    return;
  }
  const { nodes, links, isCut } = await engine.graphs.get(id);
  const descendants = new Set([id]);
  for (const parent of descendants) {
    links.filter(({ parentId }) => parentId === parent).forEach(({ childId }) => descendants.add(childId));
  }
  if (isCut) {
    throw topicNotAllowed();
  }
  const topics = nodes.filter((node) => descendants.has(node.id)).flatMap(({ topic }) => topic ?? []);
  topics.forEach((topic) => access.ensureTopicOfJob(topic));
}
