import { Inject, Injectable } from '@nestjs/common';
import type { BulkResult } from '../core/bulk.js';
import { describeValue } from '../core/error-text.js';
import { foldMessage } from '../core/error-groups.js';
import type { FailureReason } from '../core/failure-reason.js';
import { explainFailure, readErrorName } from '../core/failure-reason.js';
import type { HttpSettings } from '../core/http-options.js';
import { Job } from '../core/job.js';
import type { JobFailure, JobPage, JobStep } from '../core/job.js';
import type { JobActionEntry } from '../core/job-action.js';
import type { JobLogLine } from '../core/job-log.js';
import type { ErrorGroup, WaitingReason } from '../core/job-reports.js';
import type { Schedule } from '../core/schedule.js';
import { JobsEngine } from '../engine/jobs-engine.js';
import type { Column, ColumnName, COLUMNS } from '../store/jobs/columns.js';
import { columnsWith } from '../store/jobs/columns.js';
import { isNeverDue } from '../store/links/link-store.js';
import { badRedaction } from './http.messages.js';
import { HTTP_SETTINGS } from './caller-resolver.js';

/** Converts jobs to the JSON of the API. `http.redact` edits them first. */
@Injectable()
export class JobSerializer {
  constructor(
    @Inject(HTTP_SETTINGS) private readonly settings: HttpSettings,
    @Inject(JobsEngine) private readonly engine: JobsEngine,
  ) {}

  /** @throws any error of `redact`: the API sends no job that was not edited. */
  async job(job: Job, waiting?: WaitingReason): Promise<JobDto> {
    return (await this.convert([job], new Map(waiting ? [[job.id, waiting]] : [])))[0]!;
  }

  /** Jobs with the reasons why they wait. */
  async explained(jobs: readonly Job[]): Promise<JobDto[]> {
    return this.convert(jobs, await this.engine.jobs.whyWaiting(jobs));
  }

  jobs(jobs: readonly Job[]): Promise<JobDto[]> {
    return this.convert(jobs, new Map());
  }

  /** Jobs that were stored together. */
  async list(jobs: readonly Job[]): Promise<JobListDto> {
    return { items: await this.jobs(jobs) };
  }

  /** Lines of a job. `redact` gets the job with its lines in `logs`, and returns it with the lines to send. */
  async logs(job: Job, lines: readonly JobLogLine[]): Promise<JobLogDto> {
    const shown = this.settings.redact ? (await this.redact(Object.assign(job, { logs: lines }))).logs : lines;
    return { items: (shown ?? []).map(toLineDto) };
  }

  /** A schedule. `redact` edits its payload and metadata as those of a job of its topic. */
  async schedule(schedule: Schedule): Promise<ScheduleDto> {
    const { topic, payload, metadata } = schedule;
    const { payload: shown, metadata: shownMetadata } = await this.redact(
      Object.assign(new Job(), { topic, payload, metadata }),
    );
    return toScheduleDto({ ...schedule, payload: shown ?? null, metadata: shownMetadata ?? null });
  }

  schedules(schedules: readonly Schedule[]): Promise<ScheduleDto[]> {
    return Promise.all(schedules.map((schedule) => this.schedule(schedule)));
  }

  /** Error groups. With `redact`, a group shows the error of its redacted sample job. */
  async errorGroups(groups: readonly ErrorGroup[]): Promise<ErrorGroup[]> {
    if (!this.settings.redact) {
      return [...groups];
    }
    const redacted = await Promise.all(groups.map((group) => this.redactGroup(group)));
    return redacted.filter((group) => group !== undefined);
  }

  /** Returns `undefined` when the sample job has been deleted, because its redacted message is unknown. */
  private async redactGroup(group: ErrorGroup): Promise<ErrorGroup | undefined> {
    const job = await this.engine.jobs.get(group.sampleId);
    if (!job) {
      return undefined;
    }
    // The job may have failed with another error since the group was read.
    const redacted = await this.redact(Object.assign(job, { lastError: group.message }));
    const message = redacted.lastError ?? '';
    const name = group.name && readErrorName(redacted.errors?.at(-1)?.stack);
    return { ...group, message, pattern: foldMessage(message), name };
  }

  private async convert(jobs: readonly Job[], reasons: ReadonlyMap<string, WaitingReason>): Promise<JobDto[]> {
    // The reason of a blocked job says how many parents it waits for.
    const waitingOn = await this.engine.graphs.waitingOn(jobs.filter(({ id }) => !reasons.has(id)));
    const toDto = async (job: Job): Promise<JobDto> =>
      toJobDto(
        await this.redact(job),
        job,
        reasons.get(job.id),
        reasons.get(job.id)?.waitingOn ?? waitingOn.get(job.id),
      );
    return Promise.all(jobs.map(toDto));
  }

  private async redact(job: Job): Promise<Job> {
    const { redact } = this.settings;
    if (!redact) {
      return job;
    }
    // A copy, because `redact` may change it.
    const copy = Object.assign(new Job(), structuredClone({ ...job }));
    const redacted: unknown = await redact(copy);
    if (typeof redacted !== 'object' || redacted === null) {
      throw new TypeError(badRedaction(describeValue(redacted)));
    }
    return redacted as Job;
  }
}

/** The members of lists in a job. Omits what a later release may add to the rows, and the results of steps. */
const ITEMS = {
  errors: ({ attempt, started, finished, message, stack, worker }: JobFailure) => ({
    attempt,
    started,
    finished,
    message,
    name: readErrorName(stack),
    stack,
    worker,
  }),
  steps: ({ name, finished }: JobStep) => ({ name, finished }),
  actions: ({ action, via, by, time }: JobActionEntry) => ({ action, via, by, time }),
  labels: (label: string) => label,
};

type ListName = keyof typeof ITEMS;
type Columns = typeof COLUMNS;
type ShownName = { [Name in ColumnName]: Columns[Name] extends { api: object } ? Name : never }[ColumnName];
type ShownTime<Entry> = Entry extends { isNullable: true } ? string | null : string;
type ShownValue<Entry> = Entry extends { type: 'time' }
  ? ShownTime<Entry>
  : Entry extends { field: infer Field extends keyof Job }
    ? Job[Field]
    : never;

/** The columns of a job in a response. */
type ShownColumns = {
  [Name in ShownName]: Name extends ListName ? ReturnType<(typeof ITEMS)[Name]>[] : ShownValue<Columns[Name]>;
};

/** A job in a response: the members of the entity in snake_case, times as text. */
export type JobDto = Omit<ShownColumns, 'run_at'> & {
  /** `null` while the job waits for parents, and if it was cancelled during that wait. */
  run_at: string | null;
  failed_because: FailureReason | null;
  waiting_because: Pick<WaitingReason, 'code' | 'text'> | null;
  blocked?: true;
  waiting_on?: number;
  deduplicated?: true;
  replaced?: true;
};

/**
 * @param stored the job before `redact`.
 * @param waitingOn the number of its parents that have not ended; `undefined`: it is not blocked.
 */
export function toJobDto(
  job: Job,
  stored: Job = job,
  waiting: WaitingReason | null = null,
  waitingOn?: number,
): JobDto {
  const { deduplicated, replaced } = stored;
  return {
    ...toColumns(job),
    ...(isNeverDue(job.runAt) ? { run_at: null } : {}),
    failed_because: explainFailure({ ...job, attempt: stored.attempt, rescuedAttempt: stored.rescuedAttempt }),
    waiting_because: waiting && { code: waiting.code, text: waiting.text },
    ...(waitingOn === undefined ? {} : { blocked: true as const, waiting_on: waitingOn }),
    ...(deduplicated === true ? { deduplicated: true as const } : {}),
    ...(replaced === true ? { replaced: true as const } : {}),
  };
}

const shown = columnsWith('api');

/** Returns the columns of a response. `redact` may have removed members. */
function toColumns(job: Job): ShownColumns {
  return Object.fromEntries(shown.map(([name, column]) => [name, toShown(name, column, job)])) as ShownColumns;
}

function toShown(name: ColumnName, { field, type, isNullable, isList, initial }: Column, job: Job): unknown {
  const value: unknown = job[field!];
  if (isList) {
    return ((value ?? []) as readonly unknown[]).map(ITEMS[name as ListName] as (item: unknown) => unknown);
  }
  if (type === 'time') {
    return isNullable ? toTextOrNull(value as Date | null) : toText(value as Date | undefined);
  }
  return value ?? (type === 'flag' ? initial : isNullable || type === 'json' ? null : undefined);
}

/** Hides what the job was given and what it has done. For callers who may enqueue, and get a job that another call has stored. */
export function withoutContents(job: JobDto): JobDto {
  const contents = shown.filter(([, { api }]) => api.isContent);
  const hidden = Object.fromEntries(contents.map(([name, { isList }]) => [name, isList ? [] : null]));
  return { ...job, ...hidden, failed_because: null };
}

export interface JobLogDto {
  items: ReturnType<typeof toLineDto>[];
}

export function toLineDto({ id, attempt, level, message, data, time }: JobLogLine) {
  return { id, attempt, level, message, data: orNull(data), time: toText(time) };
}

/** A redacted job may lack members. */
function orNull<T>(value: T | null | undefined): T | null {
  return value ?? null;
}

/** A schedule in a response. */
export type ScheduleDto = ReturnType<typeof toScheduleDto>;

export function toScheduleDto(schedule: Schedule) {
  const { pattern, missed } = schedule;
  return {
    name: schedule.name,
    pattern: typeof pattern === 'string' ? pattern : { every: pattern.every, anchor: toText(pattern.anchor) },
    tz: schedule.tz,
    topic: schedule.topic,
    payload: schedule.payload,
    missed: { policy: missed.policy, within_ms: missed.withinMs, max: missed.max },
    overlap: schedule.overlap,
    jitter_ms: schedule.jitterMs,
    start_at: toTextOrNull(schedule.startAt),
    end_at: toTextOrNull(schedule.endAt),
    max_retries: schedule.maxRetries,
    priority: schedule.priority,
    timeout_ms: schedule.timeoutMs,
    labels: [...(schedule.labels ?? [])],
    metadata: schedule.metadata,
    source: schedule.source,
    revision: schedule.revision,
    next_tick: toTextOrNull(schedule.nextTick),
    last_tick: toTextOrNull(schedule.lastTick),
    last_job_id: schedule.lastJobId,
    paused_since: toTextOrNull(schedule.pausedSince),
    is_declared: schedule.isDeclared,
    live_definitions: schedule.liveDefinitions,
    created: toText(schedule.created),
    updated: toText(schedule.updated),
  };
}

/** Jobs that were stored together. */
export interface JobListDto {
  items: JobDto[];
}

export type JobPageDto = ReturnType<typeof toPageDto>;

/** A page of jobs. */
export function toPageDto({ total, totalCapped, limit, offset, nextCursor, search }: JobPage, items: JobDto[]) {
  return {
    items,
    total,
    total_capped: totalCapped,
    limit,
    offset,
    next_cursor: nextCursor,
    search: search && { window: search.window, oldest: toTextOrNull(search.oldest), complete: search.complete },
  };
}

export type BulkDto = ReturnType<typeof toBulkDto>;

/** The result of a bulk request. */
export function toBulkDto(result: BulkResult) {
  const { matched, changed, skipped, more, asOf, nextCursor, byTopic, sampleIds, skippedReasons } = result;
  return {
    matched,
    changed,
    skipped,
    more,
    as_of: asOf,
    next_cursor: nextCursor,
    by_topic: byTopic.map(({ topic, count }) => ({ topic, count })),
    sample_ids: [...sampleIds],
    skipped_reasons: skippedReasons.map(({ reason, count, ids }) => ({ reason, count, ids: [...ids] })),
  };
}

/** Returns ISO 8601 text in UTC with milliseconds. */
function toTextOrNull(time: Date | null | undefined): string | null {
  return time ? toText(time) : null;
}

/** Returns 1970 if `redact` has removed a time that is never `null`. */
function toText(time: Date | undefined): string {
  return new Date(time ?? 0).toISOString();
}
