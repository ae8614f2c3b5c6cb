import type { Clock } from '../../core/clock.js';
import { formatDuration } from '../../core/duration.js';
import type { JobsLogger } from '../../core/logger.js';
import type { CountedStart } from '../../store/jobs/job-records.js';
import { HAND_OVER_MAX_MS, HAND_OVER_MS } from '../../store/limits/limited-claim.js';

/** What a rate has counted for the jobs of one claim. */
export interface CountedClaim {
  readonly start: CountedStart;
  /** Their handlers must be called by then, by the process's clock, or not at all. */
  readonly callByMs: number;
  /** One of the handlers was not called by then. */
  readonly onLate: () => void;
}

/** Times of the database have whole milliseconds, so that those of a claim may be as much too early. */
const PRECISION_MS = 1;
/** The hand-over is halved after so long without a late job. */
const EASE_MS = 10_000;
/** A batch with a rate waits at most this long to become full. */
export const COUNTED_BATCH_WAIT_MAX_MS = 60_000;

interface HandOver {
  readonly shortestMs: number;
  ms: number;
  changedAtMs: number;
  hasWarned: boolean;
}

interface HandOversParts {
  readonly clock: Clock;
  readonly logger: JobsLogger;
  /** How long the jobs of a topic wait for others of their batch. */
  readonly batchWaitMs: (topic: string) => number;
}

/**
 * How long after a claim was sent this process may call the handlers of its jobs, for each topic with a rate. The rate counts a job as
 * started at any moment of that time, so a longer hand-over lowers the rate that the topic reaches, and a shorter one releases more jobs.
 * When a job is late, the next claims get twice the time: otherwise a busy machine, or a guard that takes longer, would start nothing.
 */
export class HandOvers {
  private readonly byTopic = new Map<string, HandOver>();

  constructor(private readonly parts: HandOversParts) {}

  /** Returns the hand-over for a claim of the topic, in whole milliseconds. */
  next(topic: string): number {
    const handOver = this.find(topic);
    const nowMs = this.parts.clock.now();
    while (handOver.ms > handOver.shortestMs && nowMs - handOver.changedAtMs >= EASE_MS) {
      handOver.ms = Math.max(handOver.shortestMs, Math.floor(handOver.ms / 2));
      handOver.changedAtMs += EASE_MS;
    }
    return handOver.ms;
  }

  /** @param sentMs when the claim was sent. */
  count(topic: string, start: CountedStart, sentMs: number, handOverMs: number): CountedClaim {
    const callByMs = sentMs + handOverMs - PRECISION_MS;
    return { start, callByMs, onLate: () => this.recordLate(topic, handOverMs) };
  }

  /** The jobs of one claim double the hand-over once, however many of them are late. */
  private recordLate(topic: string, handOverMs: number): void {
    const handOver = this.find(topic);
    handOver.ms = Math.min(HAND_OVER_MAX_MS, Math.max(handOver.ms, 2 * handOverMs));
    handOver.changedAtMs = this.parts.clock.now();
    if (!handOver.hasWarned) {
      handOver.hasWarned = true;
      this.parts.logger.warn(
        `a job of '${topic}' could not start within ${formatDuration(handOverMs)} of its claim, so it returned to the queue without ` +
          'using a retry: its rate would be exceeded. Its next claims may take longer, and the topic stays further below its rate. The ' +
          'machine is overloaded, the event loop was blocked, or guards, pipes or the codec take that long before the handler',
      );
    }
  }

  private find(topic: string): HandOver {
    let handOver = this.byTopic.get(topic);
    if (!handOver) {
      const shortestMs = HAND_OVER_MS + Math.min(this.parts.batchWaitMs(topic), COUNTED_BATCH_WAIT_MAX_MS);
      handOver = { shortestMs, ms: shortestMs, changedAtMs: -Infinity, hasWarned: false };
      this.byTopic.set(topic, handOver);
    }
    return handOver;
  }
}
