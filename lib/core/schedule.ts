import type { Backoff, BackoffOptions } from './backoff.js';
import type { SchedulePattern, Ticks } from './cron.js';
import { parsePattern, parseStoredPattern, timeZoneCheck, toPattern } from './cron.js';
import type { Duration } from './duration.js';
import { InvalidOptionsError } from './errors.js';
import { encodeMetadata } from './job-options.js';
import type { JobTopic } from './job-topic.js';
import { toTopicName } from './job-topic.js';
import type { Check, OptionValues } from './option-checks.js';
import {
  applyCheck,
  dateCheck,
  duration,
  group,
  integer,
  jsonCheck,
  oneOf,
  option,
  optional,
  readOptions,
  recordCheck,
} from './option-checks.js';
import { encodePayload } from './payload.js';
import { backoffCheck, labelsCheck, maxRetriesCheck, priorityCheck, timeoutCheck } from './job-checks.js';

/** What happens to ticks that are more than 60 s late, because no process was running. */
export type MissedPolicy = 'skip' | 'last' | 'all';

/** Options of a schedule. */
export interface ScheduleOptions<T = unknown> {
  /**
   * Unique name: letters, digits and `_.:-`, 1 to 255 characters. Default of `@JobSchedule`: `Class.method`. `schedules.upsert` takes
   * the name as an argument and ignores this option.
   */
  name?: string | undefined;
  /** IANA time zone of a cron pattern. Default `'UTC'`. */
  tz?: string | undefined;
  /** Topic of the jobs. Default: the decorated method is the handler, and the topic has the name of the schedule. */
  topic?: string | JobTopic<T> | undefined;
  /** Payload of the jobs. Default `null`. */
  payload?: T | undefined;
  /**
   * What happens to ticks that are more than 60 s late: `'last'` fires the newest one, `'all'` fires each, `'skip'` none. Ticks
   * older than `within` are skipped, and `'all'` fires the newest `max`. Default `'last'`, within `'1d'`, `max` 100.
   */
  missed?: MissedPolicy | { policy: MissedPolicy; within?: Duration | undefined; max?: number | undefined } | undefined;
  /** `'skip'`: a tick adds no job while the schedule's previous job is unfinished. Default `'allow'`. */
  overlap?: 'allow' | 'skip' | undefined;
  /**
   * Delays the jobs of each tick by a fixed part of this time, so that schedules with the same pattern start at different
   * times. Default 0.
   */
  jitter?: Duration | undefined;
  /** No tick before this moment; one at it fires. Default: none. */
  startAt?: Date | undefined;
  /** No tick after this moment; one at it fires. Default: none. */
  endAt?: Date | undefined;
  /** Retries of each job. Default: that of the topic, then of the module. */
  maxRetries?: number | undefined;
  /** Priority of each job, −1000 to 1000. Lower runs first. Default: that of the topic, then 0. */
  priority?: number | undefined;
  /** Time limit of one attempt. Default: that of the handler, then of the module. */
  timeout?: Duration | undefined;
  /** How long retries wait. Default: that of the handler, then of the module. */
  backoff?: BackoffOptions | undefined;
  /** Labels of each job, at most 10 with those of the topic. Default: those of the topic. */
  labels?: readonly string[] | undefined;
  /** Metadata of each job: at most 64 KiB of JSON, no names that begin with `$`. */
  metadata?: Record<string, unknown> | undefined;
}

/** {@link ScheduleOptions} and the pattern, checked, as the schedule's row stores them. JSON. */
export interface ScheduleDefinition {
  readonly pattern: string;
  readonly tz: string;
  readonly topic: string;
  readonly payload: unknown;
  readonly missed: { readonly policy: MissedPolicy; readonly withinMs: number; readonly max: number };
  readonly overlap: 'allow' | 'skip';
  readonly jitterMs: number;
  /** ISO 8601. */
  readonly startAt: string | null;
  readonly endAt: string | null;
  readonly maxRetries: number | null;
  readonly priority: number | null;
  readonly timeoutMs: number | null;
  readonly backoff: Backoff | null;
  readonly metadata: Record<string, unknown> | null;
  /** Absent: none. */
  readonly labels?: readonly string[];
}

/** A schedule as it is stored. All times are the database's. */
export interface Schedule extends Omit<ScheduleDefinition, 'pattern' | 'startAt' | 'endAt'> {
  /** Cron text, or an interval with its anchor. */
  readonly pattern: string | { readonly every: number; readonly anchor: Date };
  /** No tick before this moment. */
  readonly startAt: Date | null;
  /** No tick after this moment. */
  readonly endAt: Date | null;
  readonly name: string;
  /** `'code'`: declared by `@JobSchedule`; `'api'`: created by `schedules.upsert` or over HTTP. */
  readonly source: 'code' | 'api';
  /** Increases with each change of the definition, and with each pause and resume. */
  readonly revision: number;
  /** The next tick; `null` if the pattern has none. */
  readonly nextTick: Date | null;
  /** The last tick that fired; `null` if none has. */
  readonly lastTick: Date | null;
  /** The job of the last tick that fired. */
  readonly lastJobId: string | null;
  /** When the schedule was paused; `null` if it is not paused. */
  readonly pausedSince: Date | null;
  /** Whether the code of a live process declares the schedule; always `true` for schedules from the API. */
  readonly isDeclared: boolean;
  /**
   * How many different definitions live processes declare. More than one: several versions of the application run, and the definition
   * that was first seen last applies.
   */
  readonly liveDefinitions: number;
  readonly created: Date;
  /** When the definition last changed. */
  readonly updated: Date;
}

/**
 * Returns the definition in a schedule's row. A definition that this version cannot read gets an invalid pattern, which holds the text
 * of the row: the schedule never fires, and users can see and replace it.
 */
export function readStoredDefinition(text: string): ScheduleDefinition {
  const definition = parseJson(text) as Partial<ScheduleDefinition> | null;
  return hasAllMembers(definition) ? definition : { ...UNREADABLE, pattern: `unknown definition ${text}` };
}

/** Whether this version of the package can read a stored definition. */
export function isReadable({ topic }: ScheduleDefinition): boolean {
  return topic !== UNREADABLE.topic;
}

const UNREADABLE: Omit<ScheduleDefinition, 'pattern'> = {
  tz: 'UTC',
  topic: '',
  payload: null,
  missed: { policy: 'skip', withinMs: 0, max: 1 },
  overlap: 'allow',
  jitterMs: 0,
  startAt: null,
  endAt: null,
  maxRetries: null,
  priority: null,
  timeoutMs: null,
  backoff: null,
  metadata: null,
};

function hasAllMembers(definition: Partial<ScheduleDefinition> | null): definition is ScheduleDefinition {
  const { pattern, tz, topic, missed, overlap, jitterMs, startAt, endAt } = definition ?? {};
  const isMoment = (text: unknown): boolean => text === null || !Number.isNaN(Date.parse(text as string));
  return (
    [pattern, tz, topic, missed?.policy, overlap].every((member) => typeof member === 'string') &&
    [missed!.withinMs, missed!.max, jitterMs].every((member) => Number.isFinite(member)) &&
    [startAt, endAt].every(isMoment)
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

/** The members of a schedule that its row holds beside the definition. */
export type ScheduleState = Omit<Schedule, keyof ScheduleDefinition>;

/** Returns a stored schedule as users see it. */
export function toSchedule({ pattern, startAt, endAt, ...same }: ScheduleDefinition & ScheduleState): Schedule {
  return {
    ...same,
    pattern: toPattern(pattern),
    startAt: startAt === null ? null : new Date(startAt),
    endAt: endAt === null ? null : new Date(endAt),
  };
}

/** Schedule and tick of a job, as its handler reads them. */
export interface ScheduleTick {
  readonly name: string;
  /** Time of the tick. */
  readonly tick: Date;
  /** How long after its tick the job was stored, in milliseconds. */
  readonly lateMs: number;
}

/** Member of a job's metadata that holds its schedule and tick. Users cannot write members that begin with `$`. */
export const SCHEDULE_METADATA = '$schedule';

const scheduleNameCheck: Check<string> = {
  expects: 'a name of 1 to 255 letters, digits and _ . : -',
  schema: { type: 'string', minLength: 1, maxLength: 255, pattern: '^[A-Za-z0-9_.:-]+$' },
  parse: (value) => (typeof value === 'string' && /^[A-Za-z0-9_.:-]{1,255}$/.test(value) ? value : undefined),
};

const policyCheck = oneOf('skip', 'last', 'all');
const WITHIN_DEFAULT_MS = 86_400_000;
const MISSED_MAX = 100;

const missedTable = {
  policy: option('last', policyCheck),
  within: option(WITHIN_DEFAULT_MS, duration(0)),
  max: option(MISSED_MAX, integer(1, 1_000)),
};
const missedGroup = group(missedTable);

const missedCheck: Check<{ policy: MissedPolicy; within: number; max: number }> = {
  expects: `${policyCheck.expects}, or an object with policy, within, max`,
  parse: (value, path) => {
    const policy = policyCheck.parse(value, path);
    return missedGroup.parse(policy === undefined ? value : { policy }, path);
  },
};

/** Describes each option of a schedule but its name and topic. */
export const SCHEDULE_OPTIONS = {
  tz: option('UTC', timeZoneCheck, 'IANA time zone of a cron pattern; default UTC'),
  payload: option(null, jsonCheck, 'payload of the jobs; default null'),
  missed: option(
    { policy: 'last', within: WITHIN_DEFAULT_MS, max: MISSED_MAX },
    missedCheck,
    'what happens to ticks that are more than 60 s late',
  ),
  overlap: option('allow', oneOf('allow', 'skip'), 'skip: no new job while the previous one is unfinished'),
  jitter: option(0, duration(0, 86_400_000), 'spreads the start of schedules with the same pattern'),
  startAt: optional(dateCheck, 'no tick before this moment'),
  endAt: optional(dateCheck, 'no tick after this moment'),
  maxRetries: optional(maxRetriesCheck, 'retries of each job'),
  priority: optional(priorityCheck, 'priority of each job; lower runs first'),
  timeout: optional(timeoutCheck, 'time limit of one attempt'),
  backoff: optional(backoffCheck, 'how long retries wait'),
  labels: optional(labelsCheck, 'labels of each job'),
  metadata: optional(recordCheck, 'metadata of each job'),
};

/** @throws InvalidOptionsError */
export function readScheduleName(name: unknown): string {
  return applyCheck(scheduleNameCheck, name, 'name');
}

/**
 * Checks the pattern and the options of a schedule.
 *
 * @param path prefix of the names in errors.
 * @throws InvalidOptionsError; InvalidPayloadError for metadata that is not JSON.
 */
export function readSchedule(
  pattern: SchedulePattern,
  { name: _, topic, ...given }: ScheduleOptions,
  path = '',
): ScheduleDefinition {
  const prefix = path && `${path}: `;
  const values = readOptions(SCHEDULE_OPTIONS, given, path);
  const { missed, startAt, endAt } = values;
  const definition: ScheduleDefinition = {
    pattern: parsePattern(pattern, values.tz, `${prefix}pattern`).text,
    tz: values.tz,
    topic: toTopicName(topic!, `${prefix}topic`),
    payload: JSON.parse(encodePayload(values.payload, Number.MAX_SAFE_INTEGER)) as unknown,
    missed: { policy: missed.policy, withinMs: missed.within, max: missed.max },
    overlap: values.overlap,
    jitterMs: values.jitter,
    startAt: toText(startAt),
    endAt: toText(endAt),
    ...readJobSettings(values),
  };
  if (startAt && endAt && startAt > endAt) {
    throw new InvalidOptionsError(`${prefix}endAt`, 'expected a moment after startAt');
  }
  if (toTicks(definition).next(new Date(0)) === null) {
    throw new InvalidOptionsError(`${prefix}pattern`, `'${definition.pattern}' has no tick`);
  }
  return definition;
}

type JobSettings = 'maxRetries' | 'priority' | 'timeoutMs' | 'backoff' | 'metadata' | 'labels';

function readJobSettings(values: OptionValues<typeof SCHEDULE_OPTIONS>): Pick<ScheduleDefinition, JobSettings> {
  const { maxRetries = null, priority = null, timeout = null, backoff = null, metadata, labels } = values;
  const ownMetadata = metadata && (JSON.parse(encodeMetadata(metadata)) as Record<string, unknown>);
  const settings = { maxRetries, priority, timeoutMs: timeout, backoff, metadata: ownMetadata ?? null };
  return labels && labels.length > 0 ? { ...settings, labels } : settings;
}

function toText(moment: Date | undefined): string | null {
  return moment?.toISOString() ?? null;
}

/** Returns the ticks of a definition between its `startAt` and `endAt`. */
export function toTicks({ pattern, tz, startAt, endAt }: ScheduleDefinition): Ticks {
  const ticks = parseStoredPattern(pattern, tz);
  const start = startAt === null ? -Infinity : Date.parse(startAt);
  const end = endAt === null ? Infinity : Date.parse(endAt);
  return {
    text: ticks.text,
    next: (moment) => {
      // One millisecond earlier, because a tick at `startAt` counts.
      const tick = ticks.next(moment.getTime() < start ? new Date(start - 1) : moment);
      return tick && tick.getTime() <= end ? tick : null;
    },
    latest: (moment) => {
      const tick = ticks.latest(moment.getTime() > end ? new Date(end) : moment);
      return tick && tick.getTime() >= start ? tick : null;
    },
  };
}

/** A tick is missed when it is later than this. */
const MISSED_AFTER_MS = 60_000;
/** Most ticks of one schedule in one statement. The next statement fires the rest. */
const TICKS_AT_ONCE_MAX = 1_000;

/** What a schedule does at a moment. */
interface TickPlan {
  /** The ticks to fire, oldest first. */
  readonly fire: readonly Date[];
  /** The next tick after them. */
  readonly next: Date | null;
}

/**
 * Plans the ticks of a schedule that are due: those of the last minute fire, and older ones by the policy for missed ticks. Yields after
 * each tick, so that the caller can let other work run: a thousand ticks take up to a second.
 *
 * @param cursor the first tick that has not fired.
 */
export function* planTicksInSteps(
  definition: ScheduleDefinition,
  cursor: Date,
  now: Date,
): Generator<undefined, TickPlan> {
  const ticks = toTicks(definition);
  const missedUntil = now.getTime() - MISSED_AFTER_MS;
  const isMissed = cursor.getTime() < missedUntil;
  const fire = isMissed ? yield* planMissed(definition, ticks, cursor, missedUntil, now) : [];
  let tick: Date | null = isMissed ? ticks.next(new Date(missedUntil - 1)) : cursor;
  while (tick && tick <= now && fire.length < TICKS_AT_ONCE_MAX) {
    fire.push(tick);
    tick = ticks.next(tick);
    yield;
  }
  return { fire, next: tick };
}

/** Walks back from the newest missed tick, so that a long outage costs no more than a short one. */
function* planMissed(
  { missed: { policy, withinMs, max } }: ScheduleDefinition,
  ticks: Ticks,
  cursor: Date,
  untilMs: number,
  now: Date,
): Generator<undefined, Date[]> {
  const limit = policy === 'skip' ? 0 : policy === 'last' ? 1 : max;
  const fromMs = Math.max(cursor.getTime(), now.getTime() - withinMs);
  const missed: Date[] = [];
  let tick = ticks.latest(new Date(untilMs - 1));
  while (tick && tick.getTime() >= fromMs && missed.length < limit) {
    missed.unshift(tick);
    tick = ticks.latest(new Date(tick.getTime() - 1));
    yield;
  }
  return missed;
}
