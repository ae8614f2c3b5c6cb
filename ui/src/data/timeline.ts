import type { Job, JobFailure } from '../../../client/index.js';

/** One thing that happened to a job, or will. */
export interface TimelineEntry {
  readonly title: string;
  readonly at: string;
  readonly tone: 'neutral' | 'good' | 'bad' | 'running' | 'waiting';
  /** How long it took, in ms. */
  readonly tookMs?: number | undefined;
  /** Since the entry before it, in ms. */
  readonly afterMs?: number | undefined;
  readonly failure?: JobFailure | undefined;
}

/** Due later than this after it was created means that it was meant to wait. */
const DELAY_MS = 1_000;

/** What is known of a job's life, oldest first. */
export function timelineOf(job: Job): TimelineEntry[] {
  return withPauses([
    { title: 'Created', at: job.created, tone: 'neutral' },
    ...job.errors.map(failedAttempt),
    ...latest(job),
  ]);
}

/** How many failed attempts are not kept any more. */
export function forgottenAttempts({ errors }: Job): number {
  return errors[0] ? errors[0].attempt - 1 : 0;
}

function failedAttempt(failure: JobFailure): TimelineEntry {
  const { attempt, started, finished } = failure;
  return {
    title: `Attempt ${attempt} failed`,
    at: started ?? finished,
    tone: 'bad',
    tookMs: started === null ? undefined : between(started, finished),
    failure,
  };
}

/** How it stands now, where the failures do not tell. */
function latest(job: Job): TimelineEntry[] {
  const { status, attempt, started, finished, run_at, created } = job;
  switch (status) {
    case 'pending': {
      const isDelayed = between(created, run_at) > DELAY_MS || job.retries > 0;
      return isDelayed ? [{ title: attempt > 0 ? 'Next attempt due' : 'Due', at: run_at, tone: 'waiting' }] : [];
    }
    case 'processing':
      return [{ title: `Attempt ${attempt} runs`, at: started ?? job.updated, tone: 'running' }];
    case 'completed':
      return [
        ...(started === null
          ? []
          : [
              {
                title: `Attempt ${attempt} started`,
                at: started,
                tone: 'neutral' as const,
                tookMs: between(started, finished!),
              },
            ]),
        { title: 'Completed', at: finished!, tone: 'good' },
      ];
    case 'failed':
      return [{ title: 'Failed for good', at: finished!, tone: 'bad' }];
    case 'cancelled':
      return [{ title: 'Cancelled', at: finished!, tone: 'neutral' }];
  }
}

/** An attempt pauses until the next one from its end on. */
function withPauses(entries: TimelineEntry[]): TimelineEntry[] {
  return entries.map((entry, index) => {
    const before = entries[index - 1];
    const end = before && Date.parse(before.at) + (before.tookMs ?? 0);
    return end === undefined ? entry : { ...entry, afterMs: Math.max(0, Date.parse(entry.at) - end) };
  });
}

function between(from: string, to: string): number {
  return Date.parse(to) - Date.parse(from);
}
