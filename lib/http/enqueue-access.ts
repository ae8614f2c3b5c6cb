import { Inject, Injectable } from '@nestjs/common';
import { InvalidOptionsError } from '../core/errors.js';
import type { EnqueueField, HttpSettings } from '../core/http-options.js';
import type { Job } from '../core/job.js';
import { parseJobId } from '../core/job-state.js';
import { JobsEngine } from '../engine/jobs-engine.js';
import type { RequestIdentity } from './access-policy.js';
import { AccessPolicy } from './access-policy.js';
import { toWireName } from '../core/wire-name.js';
import { fieldsNotAllowed, invalidRequest } from './api-error.js';
import { HTTP_SETTINGS } from './caller-resolver.js';
import { UNKNOWN_TOPIC } from './http.messages.js';
import type { JobDto } from './job-serializer.js';
import { JobSerializer, withoutContents } from './job-serializer.js';

/** A job of a request, by the names of core's options. */
interface SentJob {
  readonly topic: string;
  readonly ref?: string | undefined;
  readonly dependsOn?: readonly string[] | undefined;
  readonly concurrencyKey?: string | undefined;
}

/** A job of a request, and its place there: `''`, `jobs[3].` or `on_success.`. */
interface PlacedJob {
  readonly job: SentJob;
  readonly path: string;
}

/** As many wrong fields as a response names. */
const FIELDS_SHOWN = 20;

/** Checks what a caller may enqueue, and what the response shows. */
@Injectable()
export class EnqueueAccess {
  constructor(
    @Inject(HTTP_SETTINGS) private readonly settings: HttpSettings,
    @Inject(JobsEngine) private readonly engine: JobsEngine,
    @Inject(AccessPolicy) private readonly access: AccessPolicy,
    @Inject(JobSerializer) private readonly serializer: JobSerializer,
  ) {}

  /**
   * @throws ApiError 403 for a topic that the rules do not admit, and for a field that needs the right to manage; 400 for a topic that does
   * not exist. InvalidOptionsError for a parent that the caller may neither read nor enqueue, as for one that does not exist.
   */
  async ensureAllowed(identity: RequestIdentity, jobs: readonly PlacedJob[]): Promise<void> {
    await this.access.ensureTopics(
      'enqueue',
      identity,
      jobs.map(({ job }) => job.topic),
    );
    await this.ensureFields(identity, jobs);
    await this.ensureTopicsExist(identity, jobs);
    await this.ensureParents(identity, jobs);
  }

  /** Leaves out a concurrency key that the topic computes from the payload: a caller must not choose whose limits apply. */
  withoutComputedKey<Sent extends SentJob>(job: Sent): Sent {
    return job.concurrencyKey !== undefined && this.engine.computesKey(job.topic)
      ? { ...job, concurrencyKey: undefined }
      : job;
  }

  /** Serializes enqueued jobs. A job that another call has stored is shown without its contents to a caller who may not read it. */
  async toDtos(identity: RequestIdentity, jobs: readonly Job[]): Promise<JobDto[]> {
    const existing = jobs.filter(({ deduplicated }) => deduplicated === true);
    const mayRead = await this.access.admitted(
      'read',
      identity,
      existing.map(({ topic }) => topic),
    );
    const dtos = await this.serializer.jobs(jobs);
    return dtos.map((dto, index) =>
      jobs[index]!.deduplicated === true && !mayRead(jobs[index]!.topic) ? withoutContents(dto) : dto,
    );
  }

  /** @throws ApiError 403 for a field that is not in `http.enqueueFields`. */
  private async ensureFields(identity: RequestIdentity, jobs: readonly PlacedJob[]): Promise<void> {
    const restricted = jobs.flatMap(({ job, path }) =>
      Object.entries(job)
        .filter(([name, value]) => value !== undefined && !this.isFree(toWireName(name)))
        .map(([name]) => ({ topic: job.topic, field: path + toWireName(name) })),
    );
    const isManaged = await this.managed(
      identity,
      restricted.map(({ topic }) => topic),
    );
    const refused = restricted.filter(({ topic }) => !isManaged(topic));
    if (refused.length > 0) {
      throw fieldsNotAllowed(refused.slice(0, FIELDS_SHOWN).map(({ field }) => field));
    }
  }

  private isFree(field: string): boolean {
    return field === 'topic' || field === 'payload' || this.settings.enqueueFields.includes(field as EnqueueField);
  }

  /** Without a list, callers could store jobs in any number of topics, and each topic costs time in every report. */
  private async ensureTopicsExist(identity: RequestIdentity, jobs: readonly PlacedJob[]): Promise<void> {
    if (Array.isArray(this.settings.allowedTopics)) {
      return;
    }
    const unknown = new Set(await this.engine.knownTopics.findUnknown(jobs.map(({ job }) => job.topic)));
    const placed = jobs.filter(({ job }) => unknown.has(job.topic));
    const isManaged = await this.managed(identity, [...unknown]);
    const [refused] = placed.filter(({ job }) => !isManaged(job.topic));
    if (refused) {
      throw invalidRequest({ [`${refused.path}topic`]: UNKNOWN_TOPIC });
    }
  }

  /** Reads the parents only for callers who may not enqueue every topic. */
  private async ensureParents(identity: RequestIdentity, jobs: readonly PlacedJob[]): Promise<void> {
    const refs = new Set(jobs.map(({ job }) => job.ref));
    const named = jobs.flatMap(({ job, path }) =>
      (job.dependsOn ?? [])
        .map((name, index) => ({ name, path: `${path}dependsOn[${index}]` }))
        .filter(({ name }) => !refs.has(name)),
    );
    const parents = named.flatMap(({ name, ...place }) => {
      const id = parseJobId(name);
      return id === undefined ? [] : [{ ...place, id }];
    });
    if (parents.length === 0 || !(await this.access.isLimited('enqueue', identity))) {
      return;
    }
    const found = await this.engine.graphs.topics(parents.map(({ id }) => id));
    const mayEnqueue = await this.access.admitted('enqueue', identity, [...found.values()]);
    const mayRead = await this.access.admitted('read', identity, [...found.values()]);
    const hidden = parents.find(({ id }) => {
      const topic = found.get(id);
      return topic !== undefined && !mayEnqueue(topic) && !mayRead(topic);
    });
    if (hidden) {
      throw new InvalidOptionsError(hidden.path, `job ${hidden.id} does not exist`);
    }
  }

  /** Returns which of the topics the caller manages. Administrators pass even if `manageRule` is `'nobody'`. */
  private async managed(identity: RequestIdentity, topics: readonly string[]): Promise<(topic: string) => boolean> {
    if (topics.length === 0 || (await identity.isAdmin())) {
      return () => true;
    }
    return this.access.admitted('manage', identity, topics);
  }
}
