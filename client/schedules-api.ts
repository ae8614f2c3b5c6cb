import type { ApiRequest, CallOptions, Duration, EitherCase, Moment } from './call-options.js';
import { toFields } from './call-options.js';
import type { Job, Schedule, ScheduleList, ScheduleTicks } from './wire.js';

/** Cron with 5 fields, or 6 with seconds first; or an interval of at least 1 s, counted from `anchor`. */
export type SchedulePattern = string | { every: Duration; anchor?: Moment | undefined };

/** Options of {@link SchedulesApi.upsert}. */
export type ScheduleOptions = EitherCase<{
  /** Topic of the jobs. */
  topic: string;
  /** Payload of the jobs. Default `null`. */
  payload?: unknown;
  /** IANA time zone of a cron pattern. Default `'UTC'`. */
  tz?: string | undefined;
  /** What happens to ticks that are more than 60 s late. Default `'last'`, within `'1d'`, `max` 100. */
  missed?: MissedPolicy | { policy: MissedPolicy; within?: Duration; max?: number } | undefined;
  /** `'skip'`: a tick adds no job while the schedule's previous job is unfinished. Default `'allow'`. */
  overlap?: 'allow' | 'skip' | undefined;
  /** Delays the jobs of each tick by a fixed part of this time. Default 0. */
  jitter?: Duration | undefined;
  /** No tick before this moment; one at it fires. */
  startAt?: Moment | undefined;
  /** No tick after this moment; one at it fires. */
  endAt?: Moment | undefined;
  /** Retries of each job. Default: that of the topic. */
  maxRetries?: number | undefined;
  /** Priority of each job, −1000 to 1000. Lower runs first. Default: that of the topic. */
  priority?: number | undefined;
  /** Time limit of one attempt. Default: that of the topic. */
  timeout?: Duration | undefined;
  /** Labels of its jobs, beside those of the topic. */
  labels?: readonly string[] | undefined;
  /** Metadata of each job, at most 64 KiB. */
  metadata?: Record<string, unknown> | undefined;
}>;

type MissedPolicy = 'skip' | 'last' | 'all';

/** The calls for schedules: `client.schedules`. */
export class SchedulesApi {
  readonly #request: <T>(request: ApiRequest) => Promise<T>;

  constructor(request: <T>(request: ApiRequest) => Promise<T>) {
    this.#request = request;
  }

  /** Returns all schedules, sorted by name. */
  async list({ signal }: CallOptions = {}): Promise<ScheduleList> {
    return this.#request({ method: 'GET', path: '/schedules', signal });
  }

  /** Returns one schedule. @throws JobsApiError with status 404 if there is none */
  async get(name: string, { signal }: CallOptions = {}): Promise<Schedule> {
    return this.#request({ method: 'GET', path: toPath(name), signal });
  }

  /**
   * Creates a schedule, or replaces its definition.
   * @example await jobs.schedules.upsert('digest', '0 7 * * 1-5', { tz: 'Europe/Berlin', topic: 'mail_digest' });
   */
  async upsert(
    name: string,
    pattern: SchedulePattern,
    options: ScheduleOptions,
    { signal }: CallOptions = {},
  ): Promise<Schedule> {
    const body = { pattern: typeof pattern === 'string' ? pattern : toFields(pattern), ...toFields(options) };
    return this.#request({ method: 'PUT', path: toPath(name), body, signal });
  }

  /** Removes a schedule. Its jobs stay. @throws JobsApiError with status 409 if the code of a process declares it */
  async remove(name: string, { signal }: CallOptions = {}): Promise<void> {
    await this.#request({ method: 'DELETE', path: toPath(name), signal });
  }

  /** Stops a schedule in all processes, until `resume`. */
  async pause(name: string, { signal }: CallOptions = {}): Promise<void> {
    await this.#request({ method: 'POST', path: `${toPath(name)}/pause`, signal });
  }

  /** Resumes a paused schedule, from its next tick. */
  async resume(name: string, { signal }: CallOptions = {}): Promise<void> {
    await this.#request({ method: 'POST', path: `${toPath(name)}/resume`, signal });
  }

  /** Stores a job of the schedule now. */
  async run<T = unknown>(name: string, { signal }: CallOptions = {}): Promise<Job<T>> {
    return this.#request({ method: 'POST', path: `${toPath(name)}/run`, signal });
  }

  /** Returns the next 1 to 100 ticks. Default 5. */
  async next(name: string, count = 5, { signal }: CallOptions = {}): Promise<ScheduleTicks> {
    return this.#request({ method: 'GET', path: `${toPath(name)}/next`, query: { count }, signal });
  }
}

/** Rejects an empty name, whose path is that of the list, and dots, which a URL resolves to the parent folder. */
function toPath(name: string): string {
  if (typeof name !== 'string' || /^\.{0,2}$/.test(name)) {
    throw new TypeError(`name: expected the name of a schedule, got ${JSON.stringify(name)}`);
  }
  return `/schedules/${encodeURIComponent(name)}`;
}
