import type { JobEvent } from '../core/events.js';
import type { Histogram } from '../core/histogram.js';
import { addTo, note } from '../core/histogram.js';
import type { RollupEntry } from '../store/report-store.js';
import { ALL_TOPICS } from '../store/report-store.js';

interface Tally {
  completed: number;
  failed: number;
  started: number;
  runMs: number;
  waitMs: number;
  histogram: Histogram;
}

/** What began and finished in a span of time, of each topic and of all. */
export class TallyBook {
  private readonly tallies = new Map<string, Tally>();

  get isEmpty(): boolean {
    return this.tallies.size === 0;
  }

  add(event: JobEvent): void {
    addEvent(this.of(event.topic), event);
    addEvent(this.of(ALL_TOPICS), event);
  }

  addAll(other: TallyBook): void {
    for (const [topic, theirs] of other.tallies) {
      const tally = this.of(topic);
      tally.completed += theirs.completed;
      tally.failed += theirs.failed;
      tally.started += theirs.started;
      tally.runMs += theirs.runMs;
      tally.waitMs += theirs.waitMs;
      addTo(tally.histogram, theirs.histogram);
    }
  }

  /** As it is now; what is added later does not change it. */
  entries(): RollupEntry[] {
    return [...this.tallies].map(([topic, tally]) => ({ topic, ...tally, histogram: { ...tally.histogram } }));
  }

  private of(topic: string): Tally {
    let tally = this.tallies.get(topic);
    if (!tally) {
      tally = { completed: 0, failed: 0, started: 0, runMs: 0, waitMs: 0, histogram: {} };
      this.tallies.set(topic, tally);
    }
    return tally;
  }
}

/** Whether a report shows such an event. */
export function isTallied({ type }: JobEvent): boolean {
  return type === 'started' || type === 'completed' || type === 'failed';
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
    note(tally.histogram, event.durationMs ?? 0);
  }
}
