import type { Job, JobAction, JobFailure } from '../../../client/index.js';
import { messages } from '../messages/messages.js';

/** One thing that happened to a job, or will. */
export interface TimelineEvent {
  readonly title: string;
  readonly at: string;
  readonly tone: 'neutral' | 'good' | 'bad' | 'running' | 'waiting';
  /** Number of the attempt, if the event is about one. */
  readonly attempt?: number;
  /** How long it took, in ms. */
  readonly tookMs?: number | undefined;
  /** Since the event before it, in ms. */
  readonly afterMs?: number | undefined;
  readonly failure?: JobFailure | undefined;
  /** Who did it, if a caller did. */
  readonly action?: JobAction | undefined;
  /** The first of several attempts in a row that failed alike. `attempt`, `at` and `failure` are those of the last one. */
  readonly first?: { readonly attempt: number; readonly at: string } | undefined;
  /** How many these are. */
  readonly times?: number | undefined;
}

/** Something that happened between two events, at an unknown time. */
export interface TimelineNote {
  readonly note: string;
}

/** A job that is due later than this after its creation was delayed on purpose. */
const DELAY_MS = 1_000;
/** The number of failures that the queue keeps of a job. */
const FAILURES_MAX = 20;

/** What is known of a job's life, oldest first. */
export function buildTimeline(job: Job): (TimelineEvent | TimelineNote)[] {
  const events = withPauses([
    { title: messages.timeline.created, at: job.created, tone: 'neutral' },
    ...job.errors.map(failedAttempt),
    ...latest(job),
  ]);
  const requeuedBefore = 1 + failuresBeforeRequeue(job);
  let seen = 0;
  const entries = events.flatMap((event, index) => {
    const before = index === 0 ? 0 : (event.attempt ?? job.attempt + 1) - 1;
    const notes = [
      ...(index > 1 && index === requeuedBefore && !isRequeueKnown(job) ? [{ note: messages.timeline.requeued }] : []),
      ...(before > seen ? [{ note: unseenAttempts(seen + 1, before, index === 1 && areErrorsMissing(job)) }] : []),
    ];
    seen = event.attempt ?? before;
    return [...notes, event];
  });
  return withActions(entries, job);
}

/** The same, newest first. Attempts in a row that failed with the same error, apart from words with a digit, are one event. */
export function buildFoldedTimeline(job: Job): (TimelineEvent | TimelineNote)[] {
  const folded: (TimelineEvent | TimelineNote)[] = [];
  for (const entry of buildTimeline(job)) {
    const last = folded.at(-1);
    const joined = last && joinFailures(last, entry);
    if (joined) folded[folded.length - 1] = joined;
    else folded.push(entry);
  }
  return folded.reverse();
}

/** Returns `undefined` if these are not two failures with the same error. */
function joinFailures(
  before: TimelineEvent | TimelineNote,
  entry: TimelineEvent | TimelineNote,
): TimelineEvent | undefined {
  if ('note' in before || 'note' in entry || !before.failure || !entry.failure) return undefined;
  if (withoutNumbers(before.failure) !== withoutNumbers(entry.failure)) return undefined;
  const first = before.first ?? { attempt: before.failure.attempt, at: before.at };
  return {
    ...entry,
    title: messages.timeline.attemptsFailed(first.attempt, entry.failure.attempt),
    first,
    times: (before.times ?? 1) + 1,
  };
}

function withoutNumbers({ message }: JobFailure): string {
  return message.replace(/\S+/g, (word) => (/\d/.test(word) ? '#' : word));
}

/** Whether a caller has re-queued the job, so that the time is known. */
function isRequeueKnown({ actions }: Job): boolean {
  return actions.some(({ action }) => action === 'requeue' || action === 'edit');
}

/** Adds the actions of callers to a timeline, oldest first. A cancel that ends a waiting job is one event with that end. */
function withActions(
  entries: readonly (TimelineEvent | TimelineNote)[],
  { actions, finished }: Job,
): (TimelineEvent | TimelineNote)[] {
  const merged = [...entries];
  for (const action of actions) {
    const end = merged.findIndex((entry) => 'at' in entry && entry.at === finished && !entry.attempt);
    if (action.action === 'cancel' && action.time === finished && end >= 0) {
      merged[end] = { ...(merged[end] as TimelineEvent), action };
    } else {
      merged.splice(findPlace(action, merged), 0, toEvent(action));
    }
  }
  return merged;
}

/** Returns the index before the first later event and before the notes that precede that event. */
function findPlace({ time }: JobAction, entries: readonly (TimelineEvent | TimelineNote)[]): number {
  const later = entries.findIndex((entry) => 'at' in entry && entry.at > time);
  const before = entries.slice(0, later < 0 ? entries.length : later);
  return before.findLastIndex((entry) => 'at' in entry) + 1;
}

function toEvent(action: JobAction): TimelineEvent {
  return { title: messages.timeline.actions[action.action], at: action.time, tone: 'neutral', action };
}

/** How many of the failures that are kept came before the job was last re-queued, as far as its retries tell. */
function failuresBeforeRequeue(job: Job): number {
  return Math.max(0, job.errors.length - failuresSinceRequeue(job));
}

/** Each but the last has taken a retry. One that was cancelled while it ran may have failed at its end, too. */
function failuresSinceRequeue({ status, retries, errors, finished }: Job): number {
  const hasFailedLast = status === 'failed' || (status === 'cancelled' && errors.at(-1)?.finished === finished);
  return retries + (hasFailedLast ? 1 : 0);
}

/** Whether errors before the first listed one are missing: the queue keeps 20, and an application may show fewer. */
function areErrorsMissing(job: Job): boolean {
  return job.errors.length >= FAILURES_MAX || job.errors.length < failuresSinceRequeue(job);
}

function unseenAttempts(first: number, last: number, areErrorsMissing: boolean): string {
  const { errorsNotKept, endedQuietly } = messages.timeline;
  return (areErrorsMissing ? errorsNotKept : endedQuietly)(first, last);
}

function failedAttempt(failure: JobFailure): TimelineEvent {
  const { attempt, started, finished } = failure;
  return {
    title: messages.timeline.attemptFailed(attempt),
    at: started ?? finished,
    tone: 'bad',
    attempt,
    tookMs: started === null ? undefined : between(started, finished),
    failure,
  };
}

/** Whether a cancelled job had reached its expiry. A job that has started has no expiry any more. */
function hasExpired({ finished, expires_at }: Job): boolean {
  return finished !== null && expires_at !== null && Date.parse(finished) >= Date.parse(expires_at);
}

function failedTitle({ failed_because: reason }: Job): string {
  return messages.timeline.failedBecause[reason?.code ?? 'no_retries_left'];
}

/** Returns the events that the failures do not show: the current attempt, the due time and the end. */
function latest(job: Job): TimelineEvent[] {
  const { timeline: words } = messages;
  const { status, attempt, started, finished, run_at, created } = job;
  switch (status) {
    case 'pending': {
      // It becomes due when the jobs have ended for which it waits.
      if (run_at === null) return [];
      const isDelayed = between(created, run_at) > DELAY_MS || attempt > 0;
      return isDelayed ? [{ title: attempt > 0 ? words.nextDue : words.due, at: run_at, tone: 'waiting' }] : [];
    }
    case 'processing':
      return [{ title: words.attemptRuns(attempt), at: started ?? job.updated, tone: 'running', attempt }];
    case 'completed':
      return [...lastRun(job), { title: words.completed, at: finished!, tone: 'good', attempt }];
    case 'failed':
      return [{ title: failedTitle(job), at: finished!, tone: 'bad' }];
    case 'cancelled':
      return [{ title: hasExpired(job) ? words.expired : words.cancelled, at: finished!, tone: 'neutral' }];
  }
}

/** Nothing for a job that ended without a run. */
function lastRun({ attempt, started, finished }: Job): TimelineEvent[] {
  return started === null
    ? []
    : [
        {
          title: messages.timeline.attempt(attempt),
          at: started,
          tone: 'neutral',
          attempt,
          tookMs: between(started, finished!),
        },
      ];
}

/** Adds to each event the time since the end of the event before it. */
function withPauses(events: TimelineEvent[]): TimelineEvent[] {
  return events.map((event, index) => {
    const before = events[index - 1];
    const end = before && Date.parse(before.at) + (before.tookMs ?? 0);
    return end === undefined ? event : { ...event, afterMs: Math.max(0, Date.parse(event.at) - end) };
  });
}

function between(from: string, to: string): number {
  return Date.parse(to) - Date.parse(from);
}
