import type { JobEvent } from '../../core/job-events.js';
import type { Histogram } from '../../core/run-times.js';
import { addHistogram, addTime } from '../../core/run-times.js';
import type { RollupEntry } from '../../store/report-store.js';
import { ALL_TOPICS } from '../../store/report-store.js';

interface Tally {
  completed: number;
  failed: number;
  started: number;
  runMs: number;
  waitMs: number;
  histogram: Histogram;
}

/** What began and finished in a span of time, of each topic. */
export class MetricsBuffer {
  private readonly tallies = new Map<string, Tally>();

  get isEmpty(): boolean {
    return this.tallies.size === 0;
  }

  add(event: JobEvent): void {
    addEvent(this.of(event.topic), event);
  }

  addAll(other: MetricsBuffer): void {
    other.tallies.forEach((theirs, topic) => addTally(this.of(topic), theirs));
  }

  /** One for each topic and one for all, as they are now; what is added later does not change them. */
  entries(): RollupEntry[] {
    if (this.isEmpty) {
      return [];
    }
    const all = emptyTally();
    this.tallies.forEach((tally) => addTally(all, tally));
    const each = [...this.tallies].map(([topic, tally]) => ({
      topic,
      ...tally,
      histogram: { ...tally.histogram },
    }));
    return [...each, { topic: ALL_TOPICS, ...all }];
  }

  private of(topic: string): Tally {
    let tally = this.tallies.get(topic);
    if (!tally) {
      tally = emptyTally();
      this.tallies.set(topic, tally);
    }
    return tally;
  }
}

/** Whether a report shows such an event. */
export function isTallied({ type }: JobEvent): boolean {
  return type === 'started' || type === 'completed' || type === 'failed';
}

function emptyTally(): Tally {
  return { completed: 0, failed: 0, started: 0, runMs: 0, waitMs: 0, histogram: {} };
}

function addTally(tally: Tally, other: Tally): void {
  tally.completed += other.completed;
  tally.failed += other.failed;
  tally.started += other.started;
  tally.runMs += other.runMs;
  tally.waitMs += other.waitMs;
  addHistogram(tally.histogram, other.histogram);
}

function addEvent(tally: Tally, event: JobEvent): void {
  if (event.type === 'started') {
    tally.started += 1;
    tally.waitMs += event.waitedMs;
  } else if (event.type === 'failed') {
    tally.failed += 1;
  } else if (event.type === 'completed') {
    tally.completed += 1;
    tally.runMs += event.durationMs ?? 0;
    addTime(tally.histogram, event.durationMs ?? 0);
  }
}
