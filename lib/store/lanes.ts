import { PRIORITY_MAX, PRIORITY_MIN } from '../core/limits.js';
import type { LaneGap } from './job-store.js';

/** What tells lanes apart: jobs of one topic and priority, in the order in which they are due. */
export interface LaneName {
  readonly topic: string;
  readonly priority: number;
}

/** One text for each lane. */
export function laneKey({ topic, priority }: LaneName): string {
  return `${priority} ${topic}`;
}

/** Of each lane the job that is due first. */
export function earliestOfLanes<Waiting extends LaneName & { readonly runAt: Date }>(
  jobs: readonly Waiting[],
): Waiting[] {
  const earliest = new Map<string, Waiting>();
  for (const job of jobs) {
    const known = earliest.get(laneKey(job));
    if (!known || job.runAt < known.runAt) {
      earliest.set(laneKey(job), job);
    }
  }
  return [...earliest.values()];
}

/** The gaps that these priorities of a topic leave: a scan of one finds its first lane, and whether that is due. */
export function gapsBetween(topic: string, priorities: readonly number[]): LaneGap[] {
  const bounds = [PRIORITY_MIN - 1, ...[...priorities].sort((a, b) => a - b), PRIORITY_MAX + 1];
  return bounds
    .slice(1)
    .map((before, index) => ({ topic, after: bounds[index]!, before }))
    .filter(({ after, before }) => before - after > 1);
}

/** The gap that is all of a topic. */
export function everyPriority(topic: string): LaneGap {
  return gapsBetween(topic, [])[0]!;
}
