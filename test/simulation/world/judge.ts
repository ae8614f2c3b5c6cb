import type { JobEvent } from 'nestjs-jobs';
import { isFinal } from '../../../lib/core/job-state.js';
import type { Plan } from './plan.js';
import type { Move, SimulatedTable } from './simulated-table.js';

/** What a world can break. */
export type Promised =
  | 'lost'
  | 'double'
  | 'lease'
  | 'fence'
  | 'runs'
  | 'unrun'
  | 'slots'
  | 'told'
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

/** One run of a handler, as an onlooker saw it. */
export interface Run {
  readonly host: string;
  readonly id: string;
  readonly topic: string;
  readonly attempt: number;
  readonly beganMs: number;
  end: 'return' | 'throw' | 'unrecoverable' | 'snooze' | 'aborted' | undefined;
  isAborted: boolean;
}

export interface JudgeOptions {
  readonly plan: Plan;
  readonly table: SimulatedTable;
  readonly nowMs: () => number;
  readonly databaseMs: () => number;
  /** Whose statement the table works on. */
  readonly actor: () => string | undefined;
}

/** Which outcome the end of a handler that nobody disturbed leads to. */
const outcomeOf = { return: 'completed', throw: 'retry', unrecoverable: 'failed', snooze: 'snooze' } as const;
const VIOLATIONS_MAX = 20;

/** Looks on, compares what it sees with the promises, and uses no line of the queue's code for it. */
export class Judge {
  readonly violations: Violation[] = [];
  readonly runs: Run[] = [];
  /** Everything that happened to a job, in its order: the same for the same seed. */
  readonly ledger: string[] = [];
  /** Every kind of thing that was done in this world, as often as it was. */
  readonly deeds: string[] = [];
  private readonly acknowledged = new Set<string>();
  private readonly removed = new Set<string>();
  /** Job and attempt of which the table has noted that it begins. */
  private readonly begun = new Set<string>();
  /** Job and attempt of which the rescue has written how it ended. */
  private readonly takenOver = new Set<string>();
  private readonly serials = new Map<string, number>();
  private readonly countedRuns = new Map<string, number>();
  /** Job, attempt and status of every row that a statement has left. */
  private readonly committed = new Set<string>();
  private readonly outcomes = new Map<string, string>();
  private readonly ended = new Map<string, string>();
  private readonly isStopping = new Set<string>();
  /** When a process last had no slot for a topic. */
  private readonly fullAtMs = new Map<string, number>();

  constructor(private readonly options: JudgeOptions) {}

  /** A promise was broken. */
  blame(promise: Promised, detail: string): void {
    if (this.violations.length < VIOLATIONS_MAX) {
      this.violations.push({ promise, detail: `${detail}, at ${Math.round(this.options.nowMs())} ms` });
    }
  }

  /** Somebody was told that a job is stored. */
  noteAcknowledged(id: string): void {
    this.acknowledged.add(id);
    if (!this.committed.has(`${id} 0 pending`)) {
      this.blame('lost', `job ${this.nameOf(id)} was acknowledged before it was stored`);
    }
  }

  /** A statement has changed a row. */
  noteMove(move: Move): void {
    const { verb, id, before, after, token, kind } = move;
    const actor = this.options.actor();
    if (verb === 'insert') {
      if (this.serials.has(id)) this.blame('double', `job ${this.nameOf(id)} was stored again after it had gone`);
      this.serials.set(id, this.serials.get(id) ?? this.serials.size);
    }
    this.ledger.push(
      `${this.options.nowMs().toFixed(3)} ${actor} ${verb} ${kind} ${this.nameOf(id)} ${after?.status} ${after?.attempt}`,
    );
    this.deeds.push(kind === null ? verb : `${verb} ${kind}`);
    if (after) {
      this.committed.add(`${id} ${after.attempt} ${after.status}`);
    } else {
      this.noteRemoval(move);
    }
    if (verb === 'rescue' && this.runs.some((run) => run.id === id && run.attempt === before!.attempt)) {
      this.takenOver.add(`${id} ${after!.attempt}`);
    }
    if (verb === 'markStarted') {
      this.begun.add(`${id} ${token!.attempt}`);
    }
    if (token) {
      this.outcomes.set(`${id} ${token.attempt}`, kind ?? verb);
      const isOwner =
        before!.status === 'processing' && before!.attempt === token.attempt && before!.lockedBy === actor;
      if (!isOwner) {
        this.blame('fence', `${actor} has written to job ${this.nameOf(id)} as attempt ${token.attempt} of it`);
      }
    }
    this.judgeLease(move);
    this.judgeFailure(move);
    this.countRuns(move);
  }

  began(run: Run): void {
    this.runs.push(run);
    const { host, id, topic, attempt } = run;
    const here = this.runs.filter((other) => other.host === host && !other.end);
    const limit = this.options.plan.topicLimits[topic];
    const ofTopic = here.filter((other) => other.topic === topic).length;
    const { concurrency } = this.concurrencyOf(host);
    if (here.length > concurrency || ofTopic > (limit ?? Infinity)) {
      this.blame('slots', `${host} runs ${here.length} handlers, ${ofTopic} of '${topic}'`);
    }
    if (here.filter((other) => other.id === id).length > 1) {
      this.blame('slots', `${host} runs job ${this.nameOf(id)} twice`);
    }
    const row = this.options.table.owned({ id, attempt });
    if (row && this.options.table.isUnbegun(row)) {
      this.blame('unrun', `${host} runs job ${this.nameOf(id)}, which would be taken for never begun`);
    }
    if (this.isStopping.has(host)) {
      this.blame('shutdown', `${host} begins job ${this.nameOf(id)} though it was told to stop`);
    }
    if (here.length >= concurrency) this.fullAtMs.set(host, this.options.nowMs());
    if (ofTopic >= (limit ?? Infinity)) this.fullAtMs.set(`${host} ${topic}`, this.options.nowMs());
  }

  returned(run: Run, end: Run['end']): void {
    run.end = end;
    if (end === 'aborted') this.deeds.push(end);
    this.fullAtMs.set(run.host, this.options.nowMs());
    this.fullAtMs.set(`${run.host} ${run.topic}`, this.options.nowMs());
  }

  /** A process has told what happened. */
  noteEvent(host: string, event: JobEvent): void {
    const { type, id } = event;
    const attempt = 'attempt' in event ? event.attempt : 0;
    const left = statusAfter(event);
    // A completion whose answer was lost, of a job that was cancelled at that moment and not kept: nobody can tell.
    const isGone = left === 'completed' && this.removed.has(id) && this.outcomes.get(`${id} ${attempt}`) === left;
    if (left && !isGone && !this.committed.has(`${id} ${attempt} ${left}`)) {
      this.blame('event', `${host} tells '${type}' of job ${this.nameOf(id)}, which the table does not know`);
    }
    const isEnd = 'durationMs' in event && event.durationMs !== null;
    const key = `${host} ${id} ${attempt}`;
    if (isEnd) {
      const other = this.ended.get(key);
      if (other) {
        this.blame('event', `${host} tells '${type}' of job ${this.nameOf(id)} after '${other}' of the same attempt`);
      }
      this.ended.set(key, type);
      if (type !== 'lease_lost' && this.takenOver.has(`${id} ${attempt}`)) {
        this.blame(
          'event',
          `${host} tells '${type}' of attempt ${attempt} of job ${this.nameOf(id)}, which was taken over`,
        );
      }
    }
    // When the answer to an outcome was lost and the job runs again by then, nobody can tell.
    const isLost = type === 'lease_lost' && !this.outcomes.has(`${id} ${attempt}`);
    if (isLost && this.options.plan.isMild) {
      this.blame('lease', `${host} has lost attempt ${attempt} of job ${this.nameOf(id)} without a reason`);
    }
  }

  stopping(host: string): void {
    this.isStopping.add(host);
  }

  /** Nothing of a process that was stopped may be left. */
  stopped(host: string): void {
    const left = [...this.options.table.rows.values()].filter(({ lockedBy }) => lockedBy === host);
    if (left.length > 0 && this.options.plan.isMild) {
      this.blame('shutdown', `${host} has stopped, and owns ${left.map(({ id }) => this.nameOf(id)).join(', ')}`);
    }
  }

  /** No due job may wait while a process has had a slot for it for so long. */
  lookForNeglected(hosts: readonly { readonly name: string; readonly idleForMs: number }[], longestMs: number): void {
    for (const row of this.options.table.rows.values()) {
      const isOld = row.status === 'pending' && row.runAt.getTime() <= this.options.databaseMs() - longestMs;
      const runsNow = this.runs.some(({ id, end }) => id === row.id && !end);
      if (isOld && !runsNow) {
        const idle = hosts.find(
          ({ name, idleForMs }) => idleForMs > longestMs && this.hadRoom(name, row.topic, longestMs),
        );
        if (idle) this.blame('pickup', `${idle.name} leaves job ${this.nameOf(row.id)} waiting`);
      }
    }
  }

  /**
   * What is only known at the end.
   *
   * @param heard the processes that have stopped while the database answered.
   */
  close(heard: ReadonlySet<string>): void {
    const { table, plan } = this.options;
    for (const id of this.acknowledged) {
      if (!table.rows.has(id) && !this.removed.has(id)) this.blame('lost', `job ${this.nameOf(id)} is gone`);
    }
    for (const { host, id, attempt, end, isAborted } of this.runs.filter((run) => this.isTold(run, heard))) {
      if (!this.ended.has(`${host} ${id} ${attempt}`)) {
        this.blame('event', `${host} never tells how attempt ${attempt} of job ${this.nameOf(id)} ended`);
      }
      const outcome = this.outcomes.get(`${id} ${attempt}`);
      if (plan.isMild && !isAborted && end && end !== 'aborted' && outcome !== outcomeOf[end]) {
        this.blame(
          'outcome',
          `attempt ${attempt} of job ${this.nameOf(id)} ended with ${end}, the table has ${outcome}`,
        );
      }
    }
  }

  /** Outcomes that met an outage may be given up when their process stops; all others must be told. */
  private isTold({ host, beganMs }: Run, heard: ReadonlySet<string>): boolean {
    return heard.has(host) && (this.options.plan.isMild || beganMs > this.options.plan.calmAtMs);
  }

  private noteRemoval({ verb, id, before }: Move): void {
    this.removed.add(id);
    const isKept = !this.options.plan.isDiscarding && verb !== 'delete';
    if (isKept || (!isFinal(before!.status) && verb !== 'delete')) {
      this.blame('lost', `job ${this.nameOf(id)} was removed by '${verb}' while it was ${before!.status}`);
    }
  }

  private judgeLease({ verb, id, before }: Move): void {
    if (verb === 'rescue') {
      if (before!.lockedUntil!.getTime() >= this.options.databaseMs()) {
        this.blame('lease', `job ${this.nameOf(id)} was taken from ${before!.lockedBy}, whose lease had not ended`);
      }
      if (this.options.plan.isMild) {
        this.blame('lease', `the lease of job ${this.nameOf(id)} ended without a reason`);
      }
    }
    if (verb === 'claim' && before!.status !== 'pending') {
      this.blame('lease', `job ${this.nameOf(id)} was claimed while ${before!.status}`);
    }
  }

  /** A process that dies leaves jobs that fail; each of them must have begun, or been about to. */
  private judgeFailure({ verb, id, before, after }: Move): void {
    const attempt = before?.attempt;
    const hasRun = this.runs.some((run) => run.id === id && run.attempt === attempt);
    if (verb === 'rescue' && after?.status === 'failed' && !hasRun && !this.begun.has(`${id} ${attempt}`)) {
      this.blame('unrun', `job ${this.nameOf(id)} has failed in attempt ${attempt}, which never began`);
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
      this.blame('runs', `job ${this.nameOf(id)} runs for the ${now}th time, with ${maxRetries} retries`);
    }
  }

  private hadRoom(host: string, topic: string, forMs: number): boolean {
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

/** How an event says that a row was left. */
function statusAfter({ type }: JobEvent): string | null {
  switch (type) {
    case 'enqueued':
    case 'retrying':
    case 'snoozed':
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
