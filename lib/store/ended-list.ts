import type { ListFilter, ListPosition } from '../core/list-filter.js';
import type { ListPlan, ListRange } from './job-list.js';

/** A list of failed and cancelled jobs, the last one that ended first. Each of its ranges is one of the index `_jobs_ended`. */
export interface EndedPlan extends Pick<ListPlan, 'runningTopics' | 'idFilter' | 'createdFrom' | 'createdTo' | 'asOf'> {
  readonly ranges: readonly ListRange[];
  /** Single jobs, listed if they pass `idFilter` and are in no range. */
  readonly ids: readonly string[];
  readonly finishedFrom: Date | null;
  /** The page holds jobs before this position: they ended earlier, or at the same moment with a lower id. */
  readonly before: EndedPosition;
  /** The end of the whole list, on whichever page. */
  readonly end: EndedPosition;
}

/** When a job ended, ISO 8601 in microseconds, and its id. `null`: after all jobs. */
export interface EndedPosition {
  readonly id: string;
  readonly finished: string | null;
}

/** A job with the time of its end. */
export interface EndedJob extends ListPosition {
  readonly finished: string;
}

/** The queries behind such a list, one set for each database. */
export interface EndedSource {
  /** Returns ids, the last one that ended first. */
  ended(plan: EndedPlan, limit: number, offset: number): Promise<EndedJob[]>;
  /** Counts the jobs of the plan up to `max`. */
  countEnded(plan: EndedPlan, max: number): Promise<number>;
}

const FIRST_ID = '00000000-0000-0000-0000-000000000000';
const LAST_ID = 'ffffffff-ffff-ffff-ffff-ffffffffffff';

/** Orders a plan by the end of its jobs. */
export function toEndedPlan({ ranges, found, ids, ...plan }: ListPlan, query: ListFilter): EndedPlan {
  const { finishedFrom, finishedTo, beforeFinished, beforeId } = query;
  const end = finishedTo
    ? { finished: finishedTo.toISOString().replace('Z', '000Z'), id: FIRST_ID }
    : { finished: null, id: LAST_ID };
  const isWithin = beforeFinished !== null && (end.finished === null || beforeFinished < end.finished);
  return {
    ...plan,
    ranges: ranges!,
    // The search for them has not checked when they ended.
    ids: [...found, ...ids],
    finishedFrom,
    before: isWithin ? { finished: beforeFinished, id: beforeId! } : end,
    end,
  };
}
