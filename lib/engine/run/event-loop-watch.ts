import { toErrorMessage } from '../../core/error-text.js';
import type { ClaimToken } from '../../core/job.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import type { Attempt } from './attempt.js';

type EventLoopWatchParts = Pick<EngineParts, 'store' | 'clock' | 'logger' | 'leaseMs'>;

/** A lease that ended while the event loop stood still. */
interface Loss {
  readonly token: ClaimToken;
  readonly reason: string;
  tries: number;
}

/** Checks this often while jobs run: four comparisons a second. */
const INTERVAL_MAX_MS = 250;
/** A renewal is due every third of a lease, so a stall of half a lease has nearly ended one. */
const STALL_SHARE = 1 / 2;
const TOPICS_NAMED_MAX = 5;
/** A rescue follows within seconds. Each try belongs to a renewal, every third of a lease. */
const TRIES_MAX = 6;
const LOSSES_MAX = 1_000;

/**
 * Notices that the event loop has stood still for so long that leases ended or nearly ended, and says so in the log and in the errors of
 * the jobs. A check that comes late shows it: a handler has computed without a pause, or the process was suspended.
 */
export class EventLoopWatch {
  private lastMs = -Infinity;
  private dueMs = Infinity;
  private losses: Loss[] = [];

  constructor(private readonly parts: EventLoopWatchParts) {}

  /** @returns after how long to check again. */
  check(attempts: readonly Attempt[]): number {
    const { clock, leaseMs } = this.parts;
    const nowMs = clock.now();
    if (attempts.length > 0 && nowMs - this.dueMs >= leaseMs * STALL_SHARE) {
      this.report(attempts, nowMs);
    }
    const intervalMs = attempts.length > 0 ? Math.min(leaseMs / 6, INTERVAL_MAX_MS) : leaseMs / 6;
    this.lastMs = nowMs;
    this.dueMs = nowMs + intervalMs;
    return intervalMs;
  }

  /** Adds the reason to the errors of jobs that were rescued since. Never rejects. */
  async explainLosses(): Promise<void> {
    const { store, logger } = this.parts;
    const { losses } = this;
    if (losses.length === 0) {
      return;
    }
    this.losses = [];
    losses.forEach((loss) => (loss.tries += 1));
    let explained: ReadonlySet<string> = new Set();
    try {
      const requests = losses.map(({ token, reason }) => ({ token, reason }));
      explained = new Set(await store.explainLostLeases(requests));
    } catch (error) {
      logger.debug(`could not record why leases were lost: ${toErrorMessage(error)}`);
    }
    this.losses.push(...losses.filter(({ token, tries }) => tries < TRIES_MAX && !explained.has(token.id)));
  }

  private report(attempts: readonly Attempt[], nowMs: number): void {
    const { leaseMs, logger } = this.parts;
    const running = attempts.filter(({ hasStarted }) => hasStarted);
    // No handler has been called since the event loop stopped.
    const sinceMs = running.reduce((latestMs, { startedAtMs }) => Math.max(latestMs, startedAtMs), this.lastMs);
    const topics = [...new Set(running.map(({ topic }) => `'${topic}'`))];
    const names = [...topics.slice(0, TOPICS_NAMED_MAX), ...(topics.length > TOPICS_NAMED_MAX ? ['others'] : [])];
    const stall = `stood still for ${toSeconds(nowMs - sinceMs)}${names.length > 0 ? ` while ${names.join(', ')} ran` : ''}`;
    const lost = attempts.filter(({ leaseEndsMs, mustBeProcessing }) => leaseEndsMs <= nowMs && mustBeProcessing);
    const owner = attempts.length === 1 ? 'its lease' : 'a lease';
    const consequence =
      lost.length > 0 ? `ended, so another process may run the job too` : 'nearly ended before it was renewed';
    logger.warn(
      `the event loop ${stall}; ${owner} of ${toSeconds(leaseMs)} ${consequence}. Compute in a worker thread or in short parts, or raise ` +
        'the option lease',
    );
    const reason = `the event loop of this worker ${stall}`;
    const losses = lost.map(({ id, claim }) => ({ token: { id, attempt: claim.attempt }, reason, tries: 0 }));
    this.losses.push(...losses.slice(0, LOSSES_MAX - this.losses.length));
  }
}

function toSeconds(ms: number): string {
  return `${Math.round(ms / 100) / 10} s`;
}
