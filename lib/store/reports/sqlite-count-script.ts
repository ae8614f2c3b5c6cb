import type { OtherTopics } from '../../core/job-reports.js';
import { FILTER_STATUSES } from '../../core/job-state.js';
import type { SqlRow, SqlScript } from '../runtime/sql-runner.js';
import * as sql from './counts.sqlite.js';
import type { JobCounts, TopicCounts } from './report-records.js';
import { NAMED_TOPICS_MAX, NO_JOBS, total } from './report-records.js';

/* Counts jobs piece by piece in the order of the index, so that no statement blocks the event loop for long. */

/** Jobs that one statement counts: 5 ms, or 15 ms if each has a topic of its own. */
const PIECE_JOBS = 10_000;
/** Texts after all topics, and after all statuses and ids. */
const [LAST_TOPIC, LAST] = ['\u{10ffff}', '~'];

type Mutable<T> = { -readonly [Name in keyof T]: T[Name] };

/** Counts jobs by topic and status. @param topics counts only these, each by its name; `null`: all, and small ones as one sum. */
export function* countScript(topics: readonly string[] | null): SqlScript<JobCounts> {
  const counted = new Map<string, Mutable<TopicCounts>>();
  const other: Mutable<OtherTopics> = { topics: 0, ...NO_JOBS };
  const add = (row: SqlRow): void => {
    const sum = row.topic === null ? other : getCounts(counted, row.topic as string);
    FILTER_STATUSES.forEach((status) => (sum[status] += Number(row[status] ?? 0)));
    other.topics += row.topic === null ? Number(row.topics ?? 0) : 0;
  };
  const selected = topics && new Set(topics);
  const preferred = (yield { sql: sql.PREFERRED_TOPICS, params: [] }).filter(
    ({ topic }) => selected?.has(topic as string) ?? true,
  );
  const first = new Set(topics ?? preferred.map(({ topic }) => topic as string));
  preferred.filter(({ processing }) => Number(processing) > 0).forEach(add);
  const ranges = topics ? topics.map((topic) => [topic, topic] as const) : [['', LAST_TOPIC] as const];
  // The range of one topic needs its own name only.
  const toNames = (from: string, all: Iterable<string>): string => JSON.stringify(topics ? [from] : [...all]);
  for (const [from, to] of ranges) {
    yield* countRange(from, to, toNames(from, first), add);
  }
  if (topics === null) {
    cut(counted, first, other);
  }
  for (const [from, to] of ranges) {
    yield* countRetrying(from, to, toNames(from, counted.keys()), add);
  }
  return { topics: [...counted.values()], other: other.topics === 0 ? null : other };
}

function getCounts(counted: Map<string, Mutable<TopicCounts>>, topic: string): Mutable<TopicCounts> {
  let counts = counted.get(topic);
  if (!counts) {
    counts = { topic, ...NO_JOBS };
    counted.set(topic, counts);
  }
  return counts;
}

function* countRange(from: string, to: string, first: string, add: (row: SqlRow) => void): SqlScript<void> {
  for (let start: unknown[] = [from, '', '']; ;) {
    const [next] = yield { sql: sql.END_OF_PIECE, params: [...start, to, PIECE_JOBS - 1] };
    const end = next ? [next.topic, next.status, next.id] : [to, LAST, LAST];
    (yield { sql: sql.COUNT_PIECE, params: [...start, ...end, first] }).forEach(add);
    if (!next) {
      return;
    }
    start = end;
  }
}

function* countRetrying(from: string, to: string, named: string, add: (row: SqlRow) => void): SqlScript<void> {
  for (let start: unknown[] = [from, '']; ;) {
    const [next] = yield { sql: sql.END_OF_RETRYING_PIECE, params: [...start, to, PIECE_JOBS - 1] };
    const end = next ? [next.topic, next.id] : [to, LAST];
    // Leaves `other.topics` alone: `countRange` has counted these topics.
    (yield { sql: sql.COUNT_RETRYING_PIECE, params: [...start, ...end, named] }).forEach(add);
    if (!next) {
      return;
    }
    start = end;
  }
}

/** Moves all but the first topics and the largest ones to `other`. */
function cut(counted: Map<string, TopicCounts>, first: ReadonlySet<string>, other: Mutable<OtherTopics>): void {
  if (counted.size <= NAMED_TOPICS_MAX) {
    return;
  }
  const place = (counts: TopicCounts): number => Number(first.has(counts.topic));
  const sorted = [...counted.values()].sort(
    (one, two) => place(two) - place(one) || total(two) - total(one) || (one.topic < two.topic ? -1 : 1),
  );
  for (const counts of sorted.slice(NAMED_TOPICS_MAX)) {
    counted.delete(counts.topic);
    other.topics += 1;
    FILTER_STATUSES.forEach((status) => (other[status] += counts[status]));
  }
}
