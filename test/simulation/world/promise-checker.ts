import type { JobEvent } from 'nestjs-jobs';
import { isFinal } from '../../../lib/core/job-state.js';
import type { Plan } from './plan.js';
import type { Move, SimulatedTable } from './simulated-table.js';

/** The promises that a world can break. */
export type Promised =
  | 'lost'
  | 'double'
  | 'lease'
  | 'fence'
  | 'runs'
  | 'unrun'
  | 'slots'
  | 'abort'
  | 'event'
  | 'outcome'
  | 'pickup'
  | 'stuck'
  | 'shutdown'
  | 'refusal';

export interface Violation {
  readonly promise: Promised;
  readonly detail: string;
}

/** One run of a handler, as seen from outside. */
export interface Run {
  readonly host: string;
  readonly id: string;
  readonly topic: string;
  readonly attempt: number;
  readonly startedMs: number;
  end: 'return' | 'throw' | 'unrecoverable' | 'snooze' | 'aborted' | undefined;
  isAborted: boolean;
}

export interface CheckerOptions {
  readonly plan: Plan;
  readonly table: SimulatedTable;
  readonly nowMs: () => number;
  readonly databaseMs: () => number;
  /** The process whose statement the table executes. */
  readonly actor: () => string | undefined;
}

/** The outcome that follows from the end of a handler. */
const outcomeOf = { return: 'completed', throw: 'retry', unrecoverable: 'failed', snooze: 'snooze' } as const;
const VIOLATIONS_MAX = 20;

/** Compares what happens with the promises of the queue, without using the queue's code. */
export class PromiseChecker {
  readonly violations: Violation[] = [];
  readonly runs: Run[] = [];
  /** Every change of a job in order: the same for the same seed. */
  readonly ledger: string[] = [];
  /** Every statement and every fault, by kind. */
  readonly actions: string[] = [];
  private readonly acknowledged = new Set<string>();
  private readonly removed = new Set<string>();
  /** Job and attempt that are marked as started. */
  private readonly marked = new Set<string>();
  /** Job and attempt that a rescue has ended. */
  private readonly takenOver = new Set<string>();
  private readonly serials = new Map<string, number>();
  private readonly countedRuns = new Map<string, number>();
  /** Job, attempt and status after each statement. */
  private readonly committed = new Set<string>();
  private readonly outcomes = new Map<string, string>();
  private readonly ended = new Map<string, string>();
  private readonly isStopping = new Set<string>();
  /** When a process last had no slot for a topic. */
  private readonly fullAtMs = new Map<string, number>();

  constructor(private readonly options: CheckerOptions) {}

  /** Records a broken promise. */
  report(promise: Promised, detail: string): void {
    if (this.violations.length < VIOLATIONS_MAX) {
      this.violations.push({ promise, detail: `${detail}, at ${Math.round(this.options.nowMs())} ms` });
    }
  }

  /** `enqueue` resolved. */
  recordAcknowledged(id: string): void {
    this.acknowledged.add(id);
    if (!this.committed.has(`${id} 0 pending`)) {
      this.report('lost', `job ${this.nameOf(id)} was acknowledged before it was stored`);
    }
  }

  /** A statement changed a row. */
  recordMove(move: Move): void {
    const { verb, id, before, after, token, kind } = move;
    const actor = this.options.actor();
    if (verb === 'insert') {
      if (this.serials.has(id)) this.report('double', `job ${this.nameOf(id)} was stored again after it had gone`);
      this.serials.set(id, this.serials.get(id) ?? this.serials.size);
    }
    this.ledger.push(
      `${this.options.nowMs().toFixed(3)} ${actor} ${verb} ${kind} ${this.nameOf(id)} ${after?.status} ${after?.attempt}`,
    );
    this.actions.push(kind === null ? verb : `${verb} ${kind}`);
    if (after) {
      this.committed.add(`${id} ${after.attempt} ${after.status}`);
    } else {
      this.recordRemoval(move);
    }
    if (verb === 'rescue' && this.runs.some((run) => run.id === id && run.attempt === before!.attempt)) {
      this.takenOver.add(`${id} ${after!.attempt}`);
    }
    if (verb === 'markStarted') {
      this.marked.add(`${id} ${token!.attempt}`);
    }
    if (token) {
      this.outcomes.set(`${id} ${token.attempt}`, kind ?? verb);
      const isOwner =
        before!.status === 'processing' && before!.attempt === token.attempt && before!.lockedBy === actor;
      if (!isOwner) {
        this.report(
          'fence',
          `${actor} wrote to job ${this.nameOf(id)}as attempt ${token.attempt}, which it does not own`,
        );
      }
    }
    this.checkLease(move);
    this.checkFailure(move);
    this.countRuns(move);
  }

  recordStart(run: Run): void {
    this.runs.push(run);
    const { host, id, topic, attempt } = run;
    const here = this.runs.filter((other) => other.host === host && !other.end);
    const limit = this.options.plan.topicLimits[topic];
    const ofTopic = here.filter((other) => other.topic === topic).length;
    const { concurrency } = this.concurrencyOf(host);
    if (here.length > concurrency || ofTopic > (limit ?? Infinity)) {
      this.report('slots', `${host} runs ${here.length} handlers, ${ofTopic} of '${topic}'`);
    }
    if (here.filter((other) => other.id === id).length > 1) {
      this.report('slots', `${host} runs job ${this.nameOf(id)} twice`);
    }
    const row = this.options.table.owned({ id, attempt });
    if (row && this.options.table.isUnstarted(row)) {
      this.report('unrun', `${host} runs job ${this.nameOf(id)}, which a rescue would treat as not started`);
    }
    if (this.isStopping.has(host)) {
      this.report('shutdown', `${host} starts job ${this.nameOf(id)} during its shutdown`);
    }
    if (here.length >= concurrency) this.fullAtMs.set(host, this.options.nowMs());
    if (ofTopic >= (limit ?? Infinity)) this.fullAtMs.set(`${host} ${topic}`, this.options.nowMs());
  }

  recordReturn(run: Run, end: Run['end']): void {
    run.end = end;
    if (end === 'aborted') this.actions.push(end);
    this.fullAtMs.set(run.host, this.options.nowMs());
    this.fullAtMs.set(`${run.host} ${run.topic}`, this.options.nowMs());
  }

  /** A process emitted an event. */
  recordEvent(host: string, event: JobEvent): void {
    const { type, id } = event;
    const attempt = 'attempt' in event ? event.attempt : 0;
    const left = statusAfter(event);
    // A completion with a lost answer, of a job that was cancelled then and not kept: the process cannot know.
    const isGone = left === 'completed' && this.removed.has(id) && this.outcomes.get(`${id} ${attempt}`) === left;
    if (left && !isGone && !this.committed.has(`${id} ${attempt} ${left}`)) {
      this.report('event', `${host} emits '${type}' for job ${this.nameOf(id)}, which the table does not know`);
    }
    const isEnd = 'durationMs' in event && event.durationMs !== null;
    const key = `${host} ${id} ${attempt}`;
    if (isEnd) {
      const other = this.ended.get(key);
      if (other) {
        this.report('event', `${host} emits '${type}' for job ${this.nameOf(id)} after '${other}' of the same attempt`);
      }
      this.ended.set(key, type);
      if (type !== 'lease_lost' && this.takenOver.has(`${id} ${attempt}`)) {
        this.report(
          'event',
          `${host} emits '${type}' for attempt ${attempt} of job ${this.nameOf(id)}, which was taken over`,
        );
      }
    }
    // When the answer to an outcome was lost and the job runs again, the process cannot know.
    const isLost = type === 'lease_lost' && !this.outcomes.has(`${id} ${attempt}`);
    if (isLost && this.options.plan.isMild) {
      this.report('lease', `${host} lost attempt ${attempt} of job ${this.nameOf(id)} without a reason`);
    }
  }

  recordStopping(host: string): void {
    this.isStopping.add(host);
  }

  /** A stopped process may own no job. */
  recordStopped(host: string): void {
    const left = [...this.options.table.rows.values()].filter(({ lockedBy }) => lockedBy === host);
    if (left.length > 0 && this.options.plan.isMild) {
      this.report('shutdown', `${host} has stopped but owns ${left.map(({ id }) => this.nameOf(id)).join(', ')}`);
    }
  }

  /** No due job may wait longer than `longestMs` while a process has a free slot for it. */
  checkPickup(hosts: readonly { readonly name: string; readonly idleForMs: number }[], longestMs: number): void {
    for (const row of this.options.table.rows.values()) {
      const isOld = row.status === 'pending' && row.runAt.getTime() <= this.options.databaseMs() - longestMs;
      const runsNow = this.runs.some(({ id, end }) => id === row.id && !end);
      if (isOld && !runsNow) {
        const idle = hosts.find(
          ({ name, idleForMs }) => idleForMs > longestMs && this.hadFreeSlot(name, row.topic, longestMs),
        );
        if (idle) this.report('pickup', `${idle.name} leaves job ${this.nameOf(row.id)} waiting`);
      }
    }
  }

  /**
   * Checks what is known only at the end.
   *
   * @param stoppedCleanly the processes that stopped while the database was available.
   */
  checkEnd(stoppedCleanly: ReadonlySet<string>): void {
    const { table, plan } = this.options;
    for (const id of this.acknowledged) {
      if (!table.rows.has(id) && !this.removed.has(id)) this.report('lost', `job ${this.nameOf(id)} is gone`);
    }
    for (const { host, id, attempt, end, isAborted } of this.runs.filter((run) => this.mustEmit(run, stoppedCleanly))) {
      if (!this.ended.has(`${host} ${id} ${attempt}`)) {
        this.report('event', `${host} emits no event for the end of attempt ${attempt} of job ${this.nameOf(id)}`);
      }
      const outcome = this.outcomes.get(`${id} ${attempt}`);
      if (plan.isMild && !isAborted && end && end !== 'aborted' && outcome !== outcomeOf[end]) {
        this.report(
          'outcome',
          `attempt ${attempt} of job ${this.nameOf(id)} ended with ${end}, the table has ${outcome}`,
        );
      }
    }
  }

  /** A process may abandon outcomes after an outage; for all others it must emit an event. */
  private mustEmit({ host, startedMs }: Run, stoppedCleanly: ReadonlySet<string>): boolean {
    return stoppedCleanly.has(host) && (this.options.plan.isMild || startedMs > this.options.plan.calmAtMs);
  }

  private recordRemoval({ verb, id, before }: Move): void {
    this.removed.add(id);
    const isKept = !this.options.plan.isDiscarding && verb !== 'delete';
    if (isKept || (!isFinal(before!.status) && verb !== 'delete')) {
      this.report('lost', `job ${this.nameOf(id)} was removed by '${verb}' while it was ${before!.status}`);
    }
  }

  private checkLease({ verb, id, before }: Move): void {
    if (verb === 'rescue') {
      if (before!.lockedUntil!.getTime() >= this.options.databaseMs()) {
        this.report('lease', `job ${this.nameOf(id)} was taken from ${before!.lockedBy}, whose lease had not ended`);
      }
      if (this.options.plan.isMild) {
        this.report('lease', `the lease of job ${this.nameOf(id)} ended without a reason`);
      }
    }
    if (verb === 'claim' && before!.status !== 'pending') {
      this.report('lease', `job ${this.nameOf(id)} was claimed while ${before!.status}`);
    }
  }

  /** A rescue may fail only attempts that started or were marked as started. */
  private checkFailure({ verb, id, before, after }: Move): void {
    const attempt = before?.attempt;
    const hasRun = this.runs.some((run) => run.id === id && run.attempt === attempt);
    if (verb === 'rescue' && after?.status === 'failed' && !hasRun && !this.marked.has(`${id} ${attempt}`)) {
      this.report('unrun', `job ${this.nameOf(id)} has failed in attempt ${attempt}, which never started`);
    }
  }

  private countRuns({ verb, id, before, after, kind }: Move): void {
    const counted = this.countedRuns.get(id) ?? 0;
    const isUncharged =
      kind === 'snooze' || kind === 'release' || (verb === 'rescue' && after?.retries === before?.retries);
    const isGivenBack = after?.status === 'pending' && isUncharged;
    const now = verb === 'requeue' ? 0 : counted + (verb === 'claim' ? 1 : 0) - (isGivenBack ? 1 : 0);
    this.countedRuns.set(id, now);
    const { maxRetries = Infinity } = this.options.table.rows.get(id) ?? {};
    if (now > maxRetries + 1) {
      this.report('runs', `job ${this.nameOf(id)} runs for the ${now}th time, with ${maxRetries} retries`);
    }
  }

  private hadFreeSlot(host: string, topic: string, forMs: number): boolean {
    const here = this.runs.filter((run) => run.host === host && !run.end);
    const isFull = here.length >= this.concurrencyOf(host).concurrency;
    const limit = this.options.plan.topicLimits[topic] ?? Infinity;
    const isTopicFull = here.filter((run) => run.topic === topic).length >= limit;
    const sinceMs = Math.max(this.fullAtMs.get(host) ?? 0, this.fullAtMs.get(`${host} ${topic}`) ?? 0);
    return !isFull && !isTopicFull && this.options.nowMs() - sinceMs > forMs;
  }

  private concurrencyOf(host: string): { concurrency: number } {
    const { hosts } = this.options.plan;
    return { concurrency: hosts[Number(host.split('.')[0]) % hosts.length]!.concurrency! };
  }

  private nameOf(id: string): string {
    return `#${this.serials.get(id) ?? '?'}`;
  }
}

/** The status of the row after an event. */
function statusAfter({ type }: JobEvent): string | null {
  switch (type) {
    case 'enqueued':
    case 'retrying':
    case 'snoozed':
    case 'released':
    case 'rescued':
      return 'pending';
    case 'started':
      return 'processing';
    case 'lease_lost':
      return null;
    default:
      return type;
  }
}
