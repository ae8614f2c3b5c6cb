import { Inject, Injectable } from '@nestjs/common';
import type { BulkResult } from '../core/bulk.js';
import { describeValue } from '../core/error-text.js';
import type { HttpSettings } from '../core/http-options.js';
import { Job } from '../core/job.js';
import type { JobFailure, JobPage } from '../core/job.js';
import type { ErrorGroup } from '../core/job-reports.js';
import { JobsEngine } from '../engine/jobs-engine.js';
import { HTTP_SETTINGS } from './http.tokens.js';

/** Jobs as they leave over HTTP, edited by `redact` when the options have one. */
@Injectable()
export class WireJobs {
  constructor(
    @Inject(HTTP_SETTINGS) private readonly settings: HttpSettings,
    @Inject(JobsEngine) private readonly engine: JobsEngine,
  ) {}

  /** @throws whatever `redact` throws: a job that was not edited does not leave. */
  async shown(job: Job): Promise<WireJob> {
    return wireJobOf(await this.redacted(job), job.deduplicated === true);
  }

  async allShown(jobs: readonly Job[]): Promise<WireJob[]> {
    return Promise.all(jobs.map((job) => this.shown(job)));
  }

  /** Groups of errors; where jobs are edited, the message is that of an edited job. */
  async errorsShown(groups: readonly ErrorGroup[]): Promise<ErrorGroup[]> {
    if (!this.settings.redact) {
      return [...groups];
    }
    const shown = await Promise.all(groups.map((group) => this.errorShown(group)));
    return shown.filter((group) => group !== undefined);
  }

  private async errorShown(group: ErrorGroup): Promise<ErrorGroup | undefined> {
    const job = await this.engine.jobs.get(group.sampleId);
    if (!job) {
      // Deleted in this moment: nobody can say what would be left of its message.
      return undefined;
    }
    // The job may have failed in another way since the group was made.
    const { lastError } = await this.redacted(Object.assign(job, { lastError: group.message }));
    return { ...group, message: lastError ?? '' };
  }

  private async redacted(job: Job): Promise<Job> {
    const { redact } = this.settings;
    if (!redact) {
      return job;
    }
    // Edited in place, too, it must stay what the engine knows.
    const copy = Object.assign(new Job(), structuredClone({ ...job }));
    const shown: unknown = await redact(copy);
    if (typeof shown !== 'object' || shown === null) {
      throw new TypeError(`http.redact: expected the job that may leave, got ${describeValue(shown)}`);
    }
    return shown as Job;
  }
}

/** A job as it leaves: the entity's members in snake_case, times as text. */
export type WireJob = ReturnType<typeof wireJobOf>;

function wireJobOf(job: Job, isDeduplicated: boolean) {
  return {
    id: job.id,
    topic: job.topic,
    payload: (job.payload ?? null) as unknown,
    status: job.status,
    run_at: textOf(job.runAt),
    locked_until: timeOf(job.lockedUntil),
    locked_by: job.lockedBy ?? null,
    attempt: job.attempt,
    retries: job.retries,
    max_retries: job.maxRetries,
    priority: job.priority,
    timeout_ms: job.timeoutMs ?? null,
    last_error: job.lastError ?? null,
    errors: (job.errors ?? []).map(wireFailureOf),
    result: (job.result ?? null) as unknown,
    progress: (job.progress ?? null) as unknown,
    unique_key: job.uniqueKey ?? null,
    metadata: job.metadata ?? null,
    cancel_requested: job.cancelRequested ?? false,
    started: timeOf(job.started),
    finished: timeOf(job.finished),
    created: textOf(job.created),
    updated: textOf(job.updated),
    ...(isDeduplicated ? { deduplicated: true as const } : {}),
  };
}

/** Without what a later release may add for itself. */
function wireFailureOf({ attempt, started, finished, message, stack, worker }: JobFailure) {
  return { attempt, started, finished, message, stack, worker };
}

/** Jobs that were stored together. */
export interface WireJobList {
  items: WireJob[];
}

export type WireJobPage = ReturnType<typeof wirePage>;

/** A page, with its jobs as they leave. */
export function wirePage({ total, totalCapped, limit, offset, nextCursor }: JobPage, items: WireJob[]) {
  return { items, total, total_capped: totalCapped, limit, offset, next_cursor: nextCursor };
}

export type WireBulkAnswer = ReturnType<typeof wireBulk>;

/** What became of many jobs. */
export function wireBulk({ matched, changed, skipped, more, skippedReasons }: BulkResult) {
  return {
    matched,
    changed,
    skipped,
    more,
    skipped_reasons: skippedReasons.map(({ reason, count, ids }) => ({ reason, count, ids: [...ids] })),
  };
}

/** ISO 8601 in UTC with milliseconds. */
function timeOf(time: Date | null | undefined): string | null {
  return time ? textOf(time) : null;
}

/** Where `redact` took away what always is there, the beginning of all time. */
function textOf(time: Date | undefined): string {
  return new Date(time ?? 0).toISOString();
}
