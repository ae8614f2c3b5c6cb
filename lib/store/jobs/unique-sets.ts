import type { InsertedJob, JobInsert } from './job-records.js';

/*
 * Sets of jobs to insert. Debounced jobs need a statement of their own, and a statement changes a row once: of several debounced jobs
 * with one key, one is sent, with the last payload.
 */

/** Whether a call with the same key may replace the payload of the job. */
export function isDebounced({ uniqueMode }: JobInsert): boolean {
  return uniqueMode !== null && uniqueMode.debounce !== null;
}

/** A set as it is sent. */
interface ReducedSet {
  /** Each group needs one kind of statement. */
  readonly groups: readonly (readonly JobInsert[])[];
  /** Returns the results of all jobs, in their order. */
  readonly expand: (results: ReadonlyMap<string, InsertedJob>) => InsertedJob[];
}

export function reduceSet(jobs: readonly JobInsert[]): ReducedSet {
  const debounced = jobs.filter(isDebounced);
  if (debounced.length === 0) {
    return { groups: [jobs], expand: (results) => jobs.map(({ id }) => results.get(id)!) };
  }
  const merged = mergeByKey(debounced);
  const others = jobs.filter((job) => !isDebounced(job));
  return {
    groups: [others, [...merged.values()]],
    expand: (results) => jobs.map((job) => toOwnResult(job, merged.get(toKeyText(job)), results)),
  };
}

/**
 * The first job of each key, with the payload, the delays and the expiry of the last. An encoded payload belongs to the id of the last job,
 * which is sent instead. The first job says how long the start may be delayed.
 */
function mergeByKey(debounced: readonly JobInsert[]): Map<string, JobInsert> {
  const merged = new Map<string, JobInsert>();
  for (const job of debounced) {
    const first = merged.get(toKeyText(job)) ?? job;
    const { uniqueMode } = first;
    const { payload, expiry } = job;
    const delayMs = Math.min(job.delayMs, uniqueMode!.debounce!.max);
    const isWhole = job.replacement !== undefined;
    const last = isWhole ? { ...job, uniqueMode, delayMs } : { ...first, payload, delayMs, expiry };
    merged.set(toKeyText(job), job === first ? job : last);
  }
  return merged;
}

function toOwnResult(
  job: JobInsert,
  merged: JobInsert | undefined,
  results: ReadonlyMap<string, InsertedJob>,
): InsertedJob {
  if (!merged || !isDebounced(job) || merged.id === job.id) {
    return results.get(job.id)!;
  }
  return { ...results.get(merged.id)!, deduplicated: true, replaced: true };
}

/**
 * Matches the rows of the statement for debounced jobs with the jobs of a set.
 *
 * @returns the results by id of the job that was sent.
 */
export function matchByKey<Row extends { readonly topic?: unknown; readonly unique_key?: unknown }>(
  jobs: readonly JobInsert[],
  rows: readonly Row[],
): Map<JobInsert, Row> {
  const byKey = new Map(jobs.map((job) => [toKeyText(job), job]));
  return new Map(rows.map((row) => [byKey.get(JSON.stringify([row.topic, row.unique_key]))!, row]));
}

function toKeyText({ topic, uniqueKey }: JobInsert): string {
  return JSON.stringify([topic, uniqueKey]);
}
