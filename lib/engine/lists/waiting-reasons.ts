import { formatDuration } from '../../core/duration.js';
import type { Job } from '../../core/job.js';
import type { WaitingReason } from '../../core/job-reports.js';
import type { LimitState } from '../../store/limits/limit-records.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import { JobGraphs } from './job-graphs.js';

type PendingJob = Pick<Job, 'topic' | 'runAt' | 'concurrencyKey'>;

/** What the database says about the topic of a job, and about its key. */
interface Facts {
  readonly now: Date;
  readonly isHandled: boolean;
  /** Parents that have not ended, if the job waits for any. */
  readonly waitingOn: number | undefined;
  readonly topic: LimitState;
  readonly key: LimitState | undefined;
}

/**
 * Explains why pending jobs do not start, as claims decide it. Reads two statements for all jobs together, a third if any of them may
 * wait for parents, and none if no job is pending.
 */
export async function explainWaiting(
  { store }: Pick<EngineParts, 'store'>,
  jobs: readonly Job[],
): Promise<ReadonlyMap<string, WaitingReason>> {
  const pending = jobs.filter(({ status }) => status === 'pending');
  if (pending.length === 0) {
    return new Map();
  }
  const selection = new Map<string, { topic: string; key?: string }>();
  for (const { topic, concurrencyKey } of pending) {
    selection.set(toSelectionKey(topic), { topic });
    if (concurrencyKey !== null) {
      selection.set(toSelectionKey(topic, concurrencyKey), { topic, key: concurrencyKey });
    }
  }
  const [{ now, states }, served, waitingOn] = await Promise.all([
    store.limits.states([...selection.values()]),
    store.reports.servedTopics(),
    new JobGraphs({ store }).waitingOn(pending),
  ]);
  const byKey = new Map(states.map((state) => [toSelectionKey(state.topic, state.key), state]));
  return new Map(
    pending.map((job) => {
      const topic = byKey.get(toSelectionKey(job.topic))!;
      const key = job.concurrencyKey === null ? undefined : byKey.get(toSelectionKey(job.topic, job.concurrencyKey));
      return [
        job.id,
        toReason(job, { now, isHandled: served.includes(job.topic), waitingOn: waitingOn.get(job.id), topic, key }),
      ];
    }),
  );
}

function toSelectionKey(topic: string, key: string | null = null): string {
  return JSON.stringify([topic, key]);
}

/** The first reason that applies. The text never shows the key: `http.redact` may hide it. */
function toReason(job: PendingJob, facts: Facts): WaitingReason {
  return explainJob(job, facts) ?? explainLimits(facts) ?? NO_FREE_SLOT;
}

const NO_FREE_SLOT: WaitingReason = {
  code: 'no_free_slot',
  text: 'the job waits for a free slot of a process that handles this topic',
};

function explainJob({ runAt }: PendingJob, { now, isHandled, waitingOn, topic }: Facts): WaitingReason | undefined {
  if (waitingOn !== undefined) {
    const parents = waitingOn === 1 ? '1 job that has' : `${waitingOn} jobs that have`;
    return { code: 'blocked', text: `the job waits for ${parents} not ended`, waitingOn };
  }
  if (runAt > now) {
    return { code: 'not_due', text: `the job is due at ${formatMoment(runAt, now)}` };
  }
  if (topic.isPaused) {
    return { code: 'paused', text: 'the topic is paused' };
  }
  return isHandled ? undefined : { code: 'no_handler', text: 'no live process handles this topic' };
}

function explainLimits({ now, topic, key }: Facts): WaitingReason | undefined {
  const { limitTotal, limitKey, nextStart } = topic;
  if (limitTotal !== null && topic.running >= limitTotal) {
    return { code: 'concurrency', text: explainRunning(topic.running, limitTotal, 'of this topic') };
  }
  if (nextStart !== null) {
    return { code: 'rate', text: explainRate(topic, nextStart, now) };
  }
  if (key && limitKey !== null && key.running >= limitKey) {
    return { code: 'key', text: explainRunning(key.running, limitKey, 'with this concurrency key') };
  }
  return key?.nextStart ? { code: 'rate', text: explainRate(key, key.nextStart, now) } : undefined;
}

function explainRunning(running: number, limit: number, which: string): string {
  // A limit that was lowered stops no job.
  return running > limit
    ? `${running} jobs ${which} are running, and the limit is ${limit}`
    : limit === 1
      ? `1 of 1 job ${which} is running`
      : `${running} of ${limit} jobs ${which} are running`;
}

const PERIODS: Readonly<Record<number, string>> = {
  1_000: 'a second',
  60_000: 'a minute',
  3_600_000: 'an hour',
  86_400_000: 'a day',
};

function explainRate({ rateLimit, rateMs, isRateByKey }: LimitState, nextStart: Date, now: Date): string {
  const period = PERIODS[rateMs!] ?? `every ${formatDuration(rateMs!)}`;
  const each = isRateByKey ? ' for each concurrency key' : '';
  return `the rate of ${rateLimit} ${period}${each} allows the next start at ${formatMoment(nextStart, now)}`;
}

/** Returns `12:01:07 UTC`, with the date if that is not today. Rounds up to seconds. */
function formatMoment(moment: Date, now: Date): string {
  const text = new Date(Math.ceil(moment.getTime() / 1_000) * 1_000).toISOString();
  const [day, time] = [text.slice(0, 10), text.slice(11, 19)];
  return `${day === now.toISOString().slice(0, 10) ? '' : `${day} `}${time} UTC`;
}
