import type { Clock } from '../core/clock.js';
import type { JobEvent } from '../core/events.js';
import type { Claim, Outcome } from '../core/job.js';
import { failureOf } from '../core/failure.js';
import type { JobStore, ProgressEntry } from '../store/job-store.js';
import { Attempt } from './attempt.js';
import { Batcher } from './batcher.js';
import type { Executor } from './executor.js';
import type { HandlerRegistry } from './handler-registry.js';
import type { Heartbeat } from './heartbeat.js';
import type { SettleAnswer, Settler } from './settler.js';

export interface AttemptsOptions {
  readonly store: JobStore;
  readonly clock: Clock;
  readonly registry: HandlerRegistry;
  readonly executor: Executor;
  readonly settler: Settler;
  readonly heartbeat: Heartbeat;
  readonly emit: (event: JobEvent) => void;
  /** How long a job waits that this process must not run while an older attempt of it still does. */
  readonly postponeMs: number;
  /** A job of this topic was given back, and is due for whoever has a slot. */
  readonly onWaiting: (topic: string) => void;
}

/**
 * The attempts that run in this process. Each goes from claim to table the same way: held by the heartbeat, executed,
 * settled, let go, and told to whoever listens.
 */
export class Attempts {
  /** By job id, for as long as the handler runs, settled or not. */
  private readonly running = new Map<string, Attempt>();
  private readonly progress = new Batcher<ProgressEntry, boolean>({
    run: (entries) => this.options.store.recordProgress(entries),
    bytesOf: ({ progress }) => progress?.length ?? 0,
  });
  private readonly countByTopic = new Map<string, number>();
  private open = 0;
  private whenSettled: (() => void)[] = [];
  private onChange: () => void = () => undefined;

  constructor(private readonly options: AttemptsOptions) {}

  /** Handlers that have not returned. */
  get count(): number {
    return this.running.size;
  }

  /** Claimed jobs whose outcome is not in the table yet. */
  get openCount(): number {
    return this.open;
  }

  /** Resolves when every claimed job has its outcome in the table. */
  allSettled(): Promise<void> {
    return this.open === 0 ? Promise.resolve() : new Promise((resolve) => this.whenSettled.push(resolve));
  }

  countOf(topic: string): number {
    return this.countByTopic.get(topic) ?? 0;
  }

  /** Calls back whenever a slot has become free or an outcome is in the table. */
  whenChanged(callback: () => void): void {
    this.onChange = callback;
  }

  /** @param leaseEndsMs by the process's clock, counted from before the claim was sent. */
  start(claim: Claim, leaseEndsMs: number): void {
    const handler = this.options.registry.get(claim.topic);
    if (!handler || this.running.has(claim.id)) {
      // An older attempt, timed out or without its lease, still runs here: the job waits, or goes to another process.
      return this.giveBack(claim, leaseEndsMs, this.options.postponeMs);
    }
    const attempt = this.hold(claim, leaseEndsMs);
    this.occupy(attempt, +1);
    const { id, topic, waitedMs } = claim;
    this.options.emit({ type: 'started', id, topic, attempt: claim.attempt, waitedMs });
    void this.options.executor.execute(attempt, handler).then(async ({ outcome, returned }) => {
      void returned.then(() => this.occupy(attempt, -1));
      await this.settle(attempt, outcome);
    });
  }

  /** Back to pending without a retry charged; for jobs claimed while the process stops. */
  giveBack(claim: Claim, leaseEndsMs: number, delayMs = 0): void {
    const attempt = this.hold(claim, leaseEndsMs);
    void this.settle(attempt, { kind: 'release', delayMs });
  }

  /** Tells every handler to end because the process does. */
  abortAll(): void {
    for (const attempt of this.running.values()) {
      attempt.dismiss('shutdown', 'the application is shutting down');
    }
  }

  /** Tells the handler of one job to end, when it runs here. */
  abortCancelled(id: string): void {
    this.running.get(id)?.abort('cancelled', 'somebody asked to cancel the job');
  }

  private hold(claim: Claim, leaseEndsMs: number): Attempt {
    const attempt = new Attempt(claim, this.options.store, this.progress, this.options.clock.now());
    this.open += 1;
    this.options.heartbeat.hold(attempt, leaseEndsMs);
    return attempt;
  }

  private occupy(attempt: Attempt, change: 1 | -1): void {
    if (change === 1) {
      this.running.set(attempt.id, attempt);
    } else {
      this.running.delete(attempt.id);
    }
    this.countByTopic.set(attempt.topic, this.countOf(attempt.topic) + change);
    this.onChange();
  }

  private async settle(attempt: Attempt, outcome: Outcome | null): Promise<void> {
    const { heartbeat, settler, clock, emit } = this.options;
    const durationMs = clock.now() - attempt.sinceMs;
    heartbeat.settling(attempt);
    const answer = outcome ? await settler.settle(attempt, outcome) : 'lease lost';
    heartbeat.letGo(attempt);
    this.open -= 1;
    emit(eventOf(attempt, outcome, answer, durationMs));
    if (outcome?.kind === 'release' && outcome.delayMs === 0) {
      this.options.onWaiting(attempt.topic);
    }
    this.onChange();
    if (this.open === 0) {
      this.whenSettled.splice(0).forEach((resolve) => resolve());
    }
  }
}

function eventOf(attempt: Attempt, outcome: Outcome | null, answer: SettleAnswer, durationMs: number): JobEvent {
  const base = { id: attempt.id, topic: attempt.topic, attempt: attempt.claim.attempt, durationMs };
  if (answer === 'lease lost' || !outcome) {
    return { type: 'lease_lost', ...base };
  }
  const error = 'failure' in outcome ? outcome.failure : failureOf(attempt.signal.reason);
  const runAt = answer.runAt ?? attempt.claim.runAt;
  switch (answer.status) {
    case 'completed':
      return { type: 'completed', ...base };
    case 'cancelled':
      return { type: 'cancelled', ...base };
    case 'failed':
      return { type: 'failed', ...base, error };
    default:
      return outcome.kind === 'retry'
        ? { type: 'retrying', ...base, error, retries: answer.retries, runAt }
        : { type: 'snoozed', ...base, runAt, reason: outcome.kind === 'release' ? 'release' : 'snooze' };
  }
}
