import type { Duration, Schedule, ScheduleOptions, SchedulePattern } from '../../../client/index.js';
import { JobsApiError } from '../../../client/index.js';
import { printJson } from '../json/exact-json.js';
import { checkJson } from '../json/json-check.js';
import { durationField, parseDuration } from '../text/duration.js';
import { toIsoTime, toLocalTime } from '../text/moment.js';
import type { DraftPattern } from './cron-ticks.js';
import { readAnchor } from './schedules.js';

/** What the form of a schedule holds, as its fields hold it. */
export interface ScheduleDraft {
  name: string;
  kind: 'cron' | 'interval';
  cron: string;
  every: string;
  /** Local time, as all moments here. */
  anchor: string;
  tz: string;
  topic: string;
  payload: string;
  missed: 'skip' | 'last' | 'all';
  within: string;
  max: number | null;
  overlap: 'allow' | 'skip';
  jitter: string;
  startAt: string;
  endAt: string;
  maxRetries: number | null;
  priority: number | null;
  timeout: string;
  metadata: string;
}

const EMPTY: ScheduleDraft = {
  name: '',
  kind: 'cron',
  cron: '0 3 * * *',
  every: '10m',
  anchor: '',
  tz: 'UTC',
  topic: '',
  payload: 'null',
  missed: 'last',
  within: '1d',
  max: 100,
  overlap: 'allow',
  jitter: '',
  startAt: '',
  endAt: '',
  maxRetries: null,
  priority: null,
  timeout: '',
  metadata: '{}',
};

/** The form of a stored schedule; of a new one for `null`. */
export function toDraft(schedule: Schedule | null, ownZone: string): ScheduleDraft {
  if (schedule === null) return { ...EMPTY, tz: ownZone };
  const { pattern, missed, timeout_ms, metadata } = schedule;
  return {
    ...EMPTY,
    ...(typeof pattern === 'string'
      ? { cron: pattern }
      : { kind: 'interval', every: durationField(pattern.every), anchor: toLocalTime(readAnchor(pattern)) }),
    name: schedule.name,
    tz: schedule.tz,
    topic: schedule.topic,
    payload: printJson(schedule.payload),
    missed: missed.policy,
    within: durationField(missed.within_ms),
    max: missed.max,
    overlap: schedule.overlap,
    jitter: schedule.jitter_ms === 0 ? '' : durationField(schedule.jitter_ms),
    startAt: toLocalTime(schedule.start_at),
    endAt: toLocalTime(schedule.end_at),
    maxRetries: schedule.max_retries,
    priority: schedule.priority,
    timeout: timeout_ms === null ? '' : durationField(timeout_ms),
    metadata: printJson(metadata ?? {}),
  };
}

/** The moments of a form. One that the user has not changed keeps its seconds. */
export function readMoments(
  draft: ScheduleDraft,
  start: Schedule | null,
): { anchor?: string; startAt?: string; endAt?: string } {
  const anchor = start === null ? null : readAnchor(start.pattern);
  return {
    anchor: readMoment(draft.anchor, anchor),
    startAt: readMoment(draft.startAt, start?.start_at ?? null),
    endAt: readMoment(draft.endAt, start?.end_at ?? null),
  };
}

/** The pattern of a form, for a preview. */
export function previewPattern(draft: ScheduleDraft, anchor: string | undefined): DraftPattern {
  if (draft.kind === 'cron') return draft.cron;
  return { everyMs: parseDuration(draft.every), anchorMs: anchor === undefined ? 0 : Date.parse(anchor) };
}

/** What the API takes of a form whose JSON is valid. */
export function toRequest(draft: ScheduleDraft, start: Schedule | null): [SchedulePattern, ScheduleOptions] {
  const { anchor, startAt, endAt } = readMoments(draft, start);
  const metadata = parseJson(draft.metadata);
  // The server checks durations, too.
  const duration = (text: string): Duration | undefined => (text.trim() || undefined) as Duration | undefined;
  return [
    draft.kind === 'cron' ? draft.cron : { every: draft.every as Duration, anchor },
    {
      topic: draft.topic,
      payload: parseJson(draft.payload),
      tz: draft.tz.trim() || undefined,
      missed: {
        policy: draft.missed,
        ...(duration(draft.within) && { within: duration(draft.within) }),
        ...(draft.max !== null && { max: draft.max }),
      } as ScheduleOptions['missed'],
      overlap: draft.overlap,
      jitter: duration(draft.jitter),
      startAt,
      endAt,
      maxRetries: draft.maxRetries ?? undefined,
      priority: draft.priority ?? undefined,
      timeout: duration(draft.timeout),
      metadata: isEmptyObject(metadata) ? undefined : (metadata as Record<string, unknown>),
    } satisfies ScheduleOptions,
  ];
}

/** What the API says against each field of the form, by the field's name in the request. */
export function readComplaints(error: unknown): Record<string, string> {
  if (!(error instanceof JobsApiError)) return {};
  return Object.fromEntries(
    Object.entries(error.data).map(([path, complaint]): [string, string] => {
      const [field = '', ...members] = path.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`).split('.');
      return [field, members.length > 0 ? `${members.join('.')}: ${complaint}` : complaint];
    }),
  );
}

function readMoment(local: string, before: string | null): string | undefined {
  return before !== null && local === toLocalTime(before) ? before : toIsoTime(local);
}

function parseJson(text: string): unknown {
  const check = checkJson(text);
  return check.ok ? check.value : undefined;
}

function isEmptyObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0 && !Array.isArray(value);
}
