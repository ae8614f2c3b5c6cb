import type { TimeseriesPoint } from '../../../client/index.js';

/** A chart of more columns than this would be a blur. */
const BUCKETS_MAX = 150;
const STEPS = [1, 2, 3, 5, 10, 15, 30, 60];

/** Several minutes of work as one. `p95` is that of the slowest minute in it. */
export type Bucket = TimeseriesPoint;

/** Minutes that a bucket spans. */
export function bucketMinutes(minutes: number): number {
  return STEPS.find((step) => minutes / step <= BUCKETS_MAX) ?? 60;
}

/** Joins the minutes of a window, oldest first. The newest bucket is whole; the oldest may not be. */
export function toBuckets(points: readonly TimeseriesPoint[], size: number): Bucket[] {
  const first = points.length % size;
  const starts = [...(first > 0 ? [0] : []), ...range(first, points.length, size)];
  return starts.map((start, index) => joined(points.slice(start, starts[index + 1])));
}

function joined(points: readonly TimeseriesPoint[]): Bucket {
  return {
    minute: points[0]!.minute,
    completed: sum(points, ({ completed }) => completed),
    failed: sum(points, ({ failed }) => failed),
    attempts_failed: sum(points, ({ attempts_failed }) => attempts_failed),
    avg_execution_time: mean(points, ({ avg_execution_time }) => avg_execution_time),
    p95: Math.max(...points.map(({ p95 }) => p95)),
    avg_wait_time: mean(points, ({ avg_wait_time }) => avg_wait_time),
  };
}

/** By the jobs of each minute. Jobs have waited in a minute in which none was completed, too: it counts as of one. */
function mean(points: readonly TimeseriesPoint[], of: (point: TimeseriesPoint) => number): number {
  const weight = (point: TimeseriesPoint): number => Math.max(point.completed, of(point) > 0 ? 1 : 0);
  const total = sum(points, weight);
  return total === 0 ? 0 : sum(points, (point) => of(point) * weight(point)) / total;
}

/** A time of each bucket for a chart; `null` where no job has taken any. */
export function toTimes(buckets: readonly Bucket[], of: (bucket: Bucket) => number): (number | null)[] {
  return buckets.map((bucket) => (bucket.completed === 0 && of(bucket) === 0 ? null : of(bucket)));
}

function sum(points: readonly TimeseriesPoint[], of: (point: TimeseriesPoint) => number): number {
  return points.reduce((total, point) => total + of(point), 0);
}

function range(from: number, to: number, step: number): number[] {
  return Array.from({ length: Math.max(0, Math.ceil((to - from) / step)) }, (_, index) => from + index * step);
}
