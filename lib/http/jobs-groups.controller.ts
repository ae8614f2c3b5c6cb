import { Controller, Get, Inject, Post, Req, Res, UseFilters, UseGuards } from '@nestjs/common';
import { GroupNotFoundError } from '../core/errors.js';
import type { JobGroup } from '../core/job-group.js';
import { GROUPS_PAGE } from '../core/job-group.js';
import { text } from '../core/option-checks.js';
import { JobsEngine } from '../engine/jobs-engine.js';
import type { RequestIdentity } from './access-policy.js';
import { AccessPolicy, findAllowed } from './access-policy.js';
import { toWireName } from '../core/wire-name.js';
import { forbidden, topicNotAllowed } from './api-error.js';
import { AuditLog } from './audit-log.js';
import { EnqueueAccess } from './enqueue-access.js';
import type { HttpRequest, HttpResponse } from './http-adapter.js';
import { sendJson } from './http-adapter.js';
import { JobsAdminGuard } from './jobs-admin.guard.js';
import { JobsApiErrorFilter } from './jobs-api-error.filter.js';
import { toFullGroupDto, toGraphDto, toGroupDto } from './report-serializer.js';
import { MANY_BYTES_MAX, RequestReader } from './request-reader.js';
import { GROUP, GROUP_LIST, NO_FIELDS } from './requests.js';
import { DescribeRoute } from './route-info.js';
import { listOfSchema, objectSchema, orNull, ref, UUID } from './schemas.js';

const A_GROUP = ref('JobGroup');
/** Groups of callers with a longer id have no creator. */
const creatorCheck = text(255);

/** Routes of groups and of graphs of jobs. */
@Controller()
@UseGuards(JobsAdminGuard)
@UseFilters(JobsApiErrorFilter)
export class JobsGroupsController {
  constructor(
    @Inject(JobsEngine) private readonly engine: JobsEngine,
    @Inject(AccessPolicy) private readonly access: AccessPolicy,
    @Inject(RequestReader) private readonly read: RequestReader,
    @Inject(EnqueueAccess) private readonly enqueuing: EnqueueAccess,
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
    const identity = this.access.getIdentity(request);
    const callbacks = Object.entries({ onSuccess, onFinish, onFailure }).flatMap(([name, job]) =>
      job === undefined ? [] : [{ job, path: `${toWireName(name)}.` }],
    );
    const members = jobs.map((job, index) => ({ job, path: `jobs[${index}].` }));
    await this.enqueuing.ensureAllowed(identity, [...members, ...callbacks]);
    if (id !== undefined) {
      await this.ensureMayExtend(identity, id);
    }
    const withoutKey = (job: typeof onSuccess): typeof onSuccess => job && this.enqueuing.withoutComputedKey(job);
    const { by } = await this.audit.actor(request);
    const createdBy = by !== null && creatorCheck.parse(by, '') !== undefined ? by : null;
    const stored = await this.engine.groups.enqueue(
      jobs.map((job) => this.enqueuing.withoutComputedKey(job)),
      {
        ...options,
        onSuccess: withoutKey(onSuccess),
        onFinish: withoutKey(onFinish),
        onFailure: withoutKey(onFailure),
      },
      undefined,
      createdBy,
    );
    await sendJson(response, 201, { id: stored.id, jobs: await this.enqueuing.toDtos(identity, stored.jobs) });
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
    const identity = this.access.getIdentity(request);
    await this.access.ensureSomeTopic('read', identity);
    // One more than the page shows whether there is a next page.
    const read = await this.engine.groups.list({ ...filter, limit: limit + 1 });
    const groups = read.slice(0, limit);
    await sendJson(response, 200, {
      items: (await this.selectAllowed('read', identity, groups)).map(toGroupDto),
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
    const group = await this.find(request);
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
    const { id } = await this.find(request, 'manage');
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
    const identity = this.access.getIdentity(request);
    const job = await findAllowed(this.engine, this.access, identity, request.params.id!);
    const graph = await this.engine.graphs.get(job.id);
    const topics = graph.nodes.flatMap(({ topic }) => topic ?? []);
    const mayRead = await this.access.admitted('read', identity, topics);
    // The topic of a deleted job is not known.
    const isLimited = await this.access.isLimited('read', identity);
    const isShown = (topic: string | null): boolean => (topic === null ? !isLimited : mayRead(topic));
    await sendJson(response, 200, toGraphDto(graph, isShown));
  }

  /**
   * Returns the group in the path.
   *
   * @throws GroupNotFoundError, also for a group with a topic that the caller may not read; ApiError 403 for one that it may only read.
   */
  private async find(request: HttpRequest, right: 'read' | 'manage' = 'read'): Promise<JobGroup> {
    const id = request.params.id!;
    const identity = this.access.getIdentity(request);
    const group = await this.engine.groups.get(id);
    const [readable] = await this.selectAllowed('read', identity, group ? [group] : []);
    if (!readable) {
      await this.access.ensureSomeTopic(right, identity);
      throw new GroupNotFoundError(id);
    }
    if (right === 'manage' && (await this.selectAllowed('manage', identity, [readable])).length === 0) {
      await this.access.ensureSomeTopic(right, identity);
      throw topicNotAllowed();
    }
    return readable;
  }

  /**
   * Adding jobs to a group delays and may change its end, so this is for its creator and for callers who may manage it.
   *
   * @throws GroupNotFoundError, also for a group that the caller may not read; ApiError 403 for one that it may only read.
   */
  private async ensureMayExtend(identity: RequestIdentity, id: string): Promise<void> {
    const group = await this.engine.groups.get(id);
    if (!group) {
      throw new GroupNotFoundError(id);
    }
    const caller = await identity.callerOrAnonymous();
    if (caller.kind === 'admin' || (await this.isManaged(identity, group))) {
      return;
    }
    if (caller.kind === 'user' && (await this.engine.groups.creator(group.id)) === caller.id) {
      return;
    }
    const topics = await this.topicsOf([group]);
    const mayRead = await this.access.admitted('read', identity, topics.get(group.id)!);
    throw isAllowed(topics.get(group.id)!, mayRead) ? forbidden() : new GroupNotFoundError(id);
  }

  private async isManaged(identity: RequestIdentity, group: JobGroup): Promise<boolean> {
    const topics = (await this.topicsOf([group])).get(group.id)!;
    return isAllowed(topics, await this.access.admitted('manage', identity, topics));
  }

  /** Leaves out groups with a topic on which the caller has not the right. Reads the topics only if the rules depend on them. */
  private async selectAllowed(
    right: 'read' | 'manage',
    identity: RequestIdentity,
    groups: readonly JobGroup[],
  ): Promise<readonly JobGroup[]> {
    if (groups.length === 0 || !(await this.access.isLimited(right, identity))) {
      return groups;
    }
    const topics = await this.topicsOf(groups);
    const isAdmitted = await this.access.admitted(right, identity, [...topics.values()].flat());
    return groups.filter(({ id }) => isAllowed(topics.get(id)!, isAdmitted));
  }

  /** Returns the topics of each group. Those of deleted members are not known, so a group that lacks members has none. */
  private async topicsOf(groups: readonly JobGroup[]): Promise<ReadonlyMap<string, readonly string[]>> {
    const found = await this.engine.groups.topics(groups.map(({ id }) => id));
    return new Map(
      groups.map(({ id, total }) => {
        const ofGroup = found.filter(({ groupId }) => groupId === id);
        const members = ofGroup.reduce((sum, each) => sum + each.members, 0);
        return [id, members > 0 && members >= total ? ofGroup.map(({ topic }) => topic) : []];
      }),
    );
  }
}

/** @param topics those of a group; none are known of a group that lacks members. */
function isAllowed(topics: readonly string[], isAdmitted: (topic: string) => boolean): boolean {
  return topics.length > 0 && topics.every(isAdmitted);
}

/**
 * Reads the graph of a job only if the rules depend on topics.
 *
 * @throws ApiError 403 when the caller may not manage a descendant of the job, or the graph is too large to be read.
 */
export async function ensureDependantsAllowed(
  engine: JobsEngine,
  access: AccessPolicy,
  identity: RequestIdentity,
  id: string,
): Promise<void> {
  if (!(await access.isLimited('manage', identity))) {
    return;
  }
  const { nodes, links, isCut } = await engine.graphs.get(id);
  const descendants = new Set([id]);
  for (const parent of descendants) {
    links.filter(({ parentId }) => parentId === parent).forEach(({ childId }) => descendants.add(childId));
  }
  const topics = nodes.filter((node) => descendants.has(node.id)).flatMap(({ topic }) => topic ?? []);
  if (isCut || !topics.every(await access.admitted('manage', identity, topics))) {
    throw topicNotAllowed();
  }
}
