/*
 * Claim. In: wake-ups, from notifications, local enqueues and polls. Out: claimed jobs, passed to the job runner.
 * Read this file (the loop) first, then dispatcher.ts (what wakes it), lane-source.ts and topic-source.ts (where claims come from),
 * claim-capacity.ts and prefetch.ts (how many jobs), lane-index.ts (which lanes may have due jobs), lane-scanner.ts and scan-cost.ts
 * (finding unknown lanes and late jobs), live-workers.ts and overflow-notifier.ts (which process wakes).
 *
 * | event   | starting | working         | full              | waiting    | stopping                         |
 * |---------|----------|-----------------|-------------------|------------|----------------------------------|
 * | scanned | pick     | pick            | pick              | pick       | stopped after the last           |
 * | wake    | mark     | mark, pick      | mark, pick        | mark, pick | mark                             |
 * | claimed | deliver  | deliver, pick   | deliver, pick     | –          | release, stopped after the last  |
 * | freed   | –        | lift hold, pick | lift hold, pick   | the same   | –                                |
 * | timer   | –        | pick            | pick              | pick       | –                                |
 * | stop    | stopping | stopping        | stopping          | stopping   | –                                |
 *
 * pick: while a source has due jobs and a slot is free, send its claim: `working`. No slot is free: `full`. Else scan, if the last scan is
 * not valid any more: `working`. Else `waiting`, until a job is due, a hold ends, or the next poll.
 */
import type { BackoffBounds } from '../../core/backoff.js';
import { backoffMs } from '../../core/backoff.js';
import type { ScheduledWake } from '../../core/clock.js';
import type { Claim } from '../../core/job.js';
import type { ClaimResult, CountedStart } from '../../store/jobs/job-records.js';
import { runDetached } from '../../store/runtime/detached-context.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import type { SlotRequest, SlotShare } from './claim-capacity.js';

/** - `full`: no slot is free for a job that is due, or none at all. - `working`: a claim or a scan is in flight. */
export type ClaimMode = 'stopped' | 'starting' | 'working' | 'full' | 'waiting' | 'stopping';

/** A claim that was sent. */
export interface SentClaim {
  readonly request: SlotRequest;
  readonly sentMs: number;
}

/** Where jobs are claimed from: all lanes together, or one topic with limits. */
export interface ClaimSource {
  /** For the log. */
  readonly name: string;
  /** Counts claims of all sources: when this one was served last. The loop writes it, and the next three. */
  served: number;
  inFlight: number;
  /** Failed claims in a row. */
  failures: number;
  /** No claim before this time, because the last one failed. */
  pausedUntilMs: number;
  /** No claim before this time, whatever the reason. */
  readonly blockedUntilMs: number;
  /** Whether a job is due that may start here if a slot is free, and no claim is in flight. */
  wants(nowMs: number): boolean;
  /** Returns `undefined` if this process has no capacity for its jobs. */
  request(share: SlotShare, nowMs: number): SentClaim | undefined;
  record(sent: SentClaim, result: ClaimResult, nowMs: number): void;
  recordFailure(sent: SentClaim, error: unknown): void;
}

/** A topic with limits. */
export interface LimitedSource extends ClaimSource {
  readonly dueAtMs: number;
  /** Whether this process could run another of its jobs if a slot were free. */
  readonly hasRoom: boolean;
  /** A job of the topic has its outcome in the row. */
  recordEnd(): void;
}

/** All lanes together. */
interface Lanes extends ClaimSource {
  readonly mayPipeline: boolean;
  /** Whether the last request has found no topic with capacity. */
  readonly hasNoCapacity: boolean;
  recordNews(): void;
  recordScan(nowMs: number): void;
}

interface Scanner {
  readonly mustScanFirst: boolean;
  readonly isScanning: boolean;
  readonly isOverdue: boolean;
  readonly isHealthy: boolean;
  /** Time until the turn of this process to poll for all. */
  readonly nextTurnInMs: number;
  scanValidForMs(): number;
  scan(): Promise<void>;
  takeFailure(): { readonly error: unknown } | undefined;
}

/** The jobs of a claim, when they arrived, and what a rate has counted for them. */
export interface ClaimArrival {
  readonly sent: SentClaim;
  readonly claims: Claim[];
  readonly start: CountedStart | undefined;
  readonly nowMs: number;
  /** Otherwise the jobs are released. */
  readonly isStarted: boolean;
}

export type ClaimLoopParts = Pick<EngineParts, 'store' | 'clock' | 'failureLog' | 'random' | 'pollIntervalMs'> & {
  readonly lanes: Lanes;
  readonly topics: Map<string, LimitedSource>;
  readonly capacity: {
    readonly freeSlots: number;
    /** Whether the end of a job has made room for a claim from lanes. */
    readonly hasRoomForLanes: boolean;
    reserve(request: SlotRequest): void;
  };
  readonly scanner: Scanner;
  /** Writes what the code declares of topics: their jobs are claimed after it. */
  readonly declarer: { readonly isPending: boolean; write(): Promise<void> };
  /** The declarations are written: a scan from before has left out their topics. */
  readonly onDeclared: () => void;
  readonly deliver: (arrival: ClaimArrival) => void;
  /** Whether a caller of `idle` waits until no job is due: then the loop scans before each wait. */
  readonly isWatched: () => boolean;
  /** Called in each pass. Returns after how many milliseconds there should be another. */
  readonly onPass: () => number;
  /** Nothing can be claimed now. `isDrained`: since no job is due. */
  readonly onBlocked: (isDrained: boolean) => void;
  /** Runs `pick` after the events of this moment, so that slots that become free together are claimed for together. */
  readonly defer?: (pick: () => void) => void;
};

const FAILURE_PAUSE_MIN_MS = 100;
const FAILURE_PAUSE_MAX_MS = 5_000;

/** Sends claims and scans, one pass for each event. */
export class ClaimLoop {
  mode: ClaimMode = 'stopped';
  private claims = 0;
  /** Claims of topics in flight. One at a time: each takes a connection for its transaction. */
  private topicClaims = 0;
  private readonly working = new Set<Promise<void>>();
  private timer: ScheduledWake | undefined;
  private isPickPlanned = false;
  private isDeclaring = false;
  private hasJustScanned = false;
  /** Whether a claim from lanes has returned since the last pass. */
  private hasClaimed = false;
  /** Since when the lanes' claims and scans have not succeeded; `undefined`: none is in flight or failing. */
  private unprovenSinceMs: number | undefined;

  constructor(private readonly parts: ClaimLoopParts) {}

  get isStarted(): boolean {
    return this.mode !== 'stopped' && this.mode !== 'stopping';
  }

  /** Whether no claim is in flight. */
  get isQuiet(): boolean {
    return this.parts.lanes.inFlight === 0 && this.topicClaims === 0;
  }

  start(): void {
    if (!this.isStarted) {
      this.mode = 'starting';
      this.planPick();
    }
  }

  /** Sends no more claims. Resolves when the claims and scans in flight have ended; the jobs of these claims are released. */
  async stop(): Promise<void> {
    this.mode = this.mode === 'stopped' ? 'stopped' : 'stopping';
    this.timer?.cancel();
    await this.idle();
    if (this.mode === 'stopping') {
      this.mode = 'stopped';
      this.unprovenSinceMs = undefined;
      [this.parts.lanes, ...this.parts.topics.values()].forEach(({ name }) => this.parts.failureLog.forget(name));
    }
  }

  /** There is news: jobs were announced, or the time of the next poll has changed. The sources were marked before. */
  wake(): void {
    this.parts.lanes.recordNews();
    this.planPick();
  }

  /** A slot has become free, or a job of the topic has its outcome in the row. Called twice for each job. */
  onFreed(topic: string, isRecorded: boolean): void {
    const { topics, lanes, capacity, isWatched } = this.parts;
    if (topics.size > 0) {
      if (isRecorded) {
        topics.get(topic)?.recordEnd();
      }
      this.planPick();
    } else if (lanes.inFlight > 0) {
      this.pipeline();
    } else if (!this.isPickPlanned && (capacity.hasRoomForLanes || isWatched())) {
      this.wake();
    }
  }

  /** Whether the loop has made no progress for longer than this: a claim or scan hangs, or each one fails. */
  isStuck(limitMs: number): boolean {
    return this.unprovenSinceMs !== undefined && this.parts.clock.now() - this.unprovenSinceMs > limitMs;
  }

  /** A scan has ended. */
  onScanned(): void {
    const { lanes, scanner, clock } = this.parts;
    const failure = scanner.takeFailure();
    if (!this.isStarted) {
      return;
    }
    if (failure) {
      this.fail(lanes, failure.error);
    } else {
      lanes.recordScan(clock.now());
      if (lanes.inFlight === 0) {
        this.succeed(lanes);
      }
    }
    if (this.mode === 'starting') {
      this.mode = 'working';
    }
    this.hasJustScanned = true;
    this.planPick();
  }

  private async idle(): Promise<void> {
    while (this.working.size > 0) {
      await Promise.all(this.working);
    }
  }

  private planPick(): void {
    if (!this.isPickPlanned) {
      this.isPickPlanned = true;
      (this.parts.defer ?? defer)(() => {
        this.isPickPlanned = false;
        this.tryPick();
      });
    }
  }

  /** An unexpected error pauses the lanes instead of ending the process. */
  private tryPick(): void {
    try {
      this.pick();
    } catch (error) {
      const { lanes, clock } = this.parts;
      this.fail(lanes, error);
      this.scheduleAt(lanes.pausedUntilMs, clock.now());
    }
  }

  private pick(): void {
    if (!this.isStarted) {
      return;
    }
    const { lanes, scanner, clock } = this.parts;
    const nowMs = clock.now();
    this.timer?.cancel();
    const isDeclaring = this.declare(nowMs);
    if (this.mode === 'starting' && lanes.pausedUntilMs <= nowMs && !isDeclaring) {
      if (scanner.mustScanFirst) {
        this.scan();
        return;
      }
      this.mode = 'working';
    }
    const isFull = this.sendDue(nowMs, this.mode !== 'starting' && !isDeclaring);
    const untilMs = Math.min(nowMs + this.parts.onPass(), this.nextTopicMs(nowMs));
    if (this.mode !== 'starting') {
      this.mode = 'working';
    }
    const restUntilMs = isDeclaring ? this.pauseEndMs(nowMs) : this.rest(isFull, nowMs);
    this.scheduleAt(Math.min(untilMs, restUntilMs), nowMs);
  }

  /** When a declaration that has failed is written again. */
  private pauseEndMs(nowMs: number): number {
    const { pausedUntilMs } = this.parts.lanes;
    return pausedUntilMs > nowMs ? pausedUntilMs : Infinity;
  }

  /** Nothing more can be sent: scans, or waits. Returns when the next pass is due. */
  private rest(isFull: boolean, nowMs: number): number {
    const { lanes, scanner, pollIntervalMs, isWatched, onBlocked } = this.parts;
    const { hasClaimed } = this;
    this.hasClaimed = false;
    if (lanes.blockedUntilMs > nowMs) {
      this.wait('waiting');
      return lanes.blockedUntilMs;
    }
    if ((lanes.inFlight > 0 || isFull) && hasClaimed && scanner.isOverdue) {
      // In a backlog. Only after a claim has returned: a scan beside the first one would find its jobs.
      this.scan();
    }
    if (lanes.inFlight > 0) {
      return Infinity;
    }
    if (isFull) {
      this.wait('full');
      this.scanInTurn();
      onBlocked(false);
      return nowMs + Math.min(pollIntervalMs, Math.max(1, scanner.nextTurnInMs));
    }
    const mustScan = isWatched() && !this.hasJustScanned;
    this.hasJustScanned = false;
    const validForMs = mustScan ? 0 : scanner.scanValidForMs();
    if (validForMs === 0) {
      this.scan();
      return Infinity;
    }
    this.wait('waiting');
    onBlocked(true);
    return nowMs + validForMs;
  }

  private wait(mode: 'full' | 'waiting'): void {
    if (this.mode !== 'starting') {
      this.mode = mode === 'waiting' && this.topicClaims > 0 ? 'working' : mode;
    }
  }

  /**
   * Jobs of topics with limits may take every slot, and a lane or topic that this process does not know may be more urgent. In its turn this
   * process polls for the others, which may have free slots.
   */
  private scanInTurn(): void {
    const { topics, scanner } = this.parts;
    if ((topics.size > 0 && scanner.isOverdue) || scanner.nextTurnInMs <= 0) {
      this.scan();
    }
  }

  /** Sends a claim of each source that is due, as far as slots are free. Returns whether there were too few. */
  private sendDue(nowMs: number, withLanes: boolean): boolean {
    const { lanes, topics } = this.parts;
    const isAlone = topics.size === 0 || !this.shareSlots(nowMs, withLanes);
    if (!withLanes || lanes.blockedUntilMs > nowMs) {
      return false;
    }
    if (!isAlone) {
      return this.parts.capacity.freeSlots === 0 || lanes.wants(nowMs);
    }
    if (lanes.inFlight === 0 && !this.sendFromLanes(nowMs)) {
      return this.isFull;
    }
    this.pipeline();
    return false;
  }

  /** Whether neither lanes nor topics have room for a job. */
  private get isFull(): boolean {
    const { lanes, capacity, topics } = this.parts;
    const hasTopicRoom = capacity.freeSlots > 0 && [...topics.values()].some(({ hasRoom }) => hasRoom);
    return lanes.hasNoCapacity && !hasTopicRoom;
  }

  /**
   * The source that was served longest ago gets the free slots; half of them, rounded up, while another one is due. Returns whether a topic
   * wants slots or has a claim in flight: then the lanes claim no more than they have slots for.
   */
  private shareSlots(nowMs: number, withLanes: boolean): boolean {
    const { lanes, topics, capacity } = this.parts;
    const wanting = new Set<ClaimSource>([...topics.values()].filter((source) => source.wants(nowMs)));
    if (wanting.size === 0 && this.topicClaims === 0) {
      return false;
    }
    if (withLanes && lanes.wants(nowMs)) {
      wanting.add(lanes);
    }
    for (let slots = capacity.freeSlots; slots > 0; slots = capacity.freeSlots) {
      const next = this.longestUnserved(wanting);
      if (!next) {
        break;
      }
      const share = { slots: wanting.size > 1 ? Math.ceil(slots / 2) : slots, isAlone: false };
      wanting.delete(next);
      const sent = next.request(share, nowMs);
      if (sent) {
        this.send(next, sent);
      }
    }
    return true;
  }

  private longestUnserved(wanting: ReadonlySet<ClaimSource>): ClaimSource | undefined {
    let next: ClaimSource | undefined;
    for (const source of wanting) {
      const maySend = source === this.parts.lanes || this.topicClaims === 0;
      next = maySend && (!next || source.served < next.served) ? source : next;
    }
    return next;
  }

  /** The lanes are the only source that wants slots. */
  private sendFromLanes(nowMs: number): boolean {
    const { lanes, capacity } = this.parts;
    const sent = lanes.request({ slots: capacity.freeSlots, isAlone: true }, nowMs);
    if (sent) {
      this.send(lanes, sent);
    }
    return sent !== undefined;
  }

  /** In a backlog, sends the next claim from lanes before the last one returns. */
  private pipeline(): void {
    const { lanes, clock } = this.parts;
    while (this.isStarted && lanes.mayPipeline && this.sendFromLanes(clock.now())) {
      // Each claim takes slots, so that the next one may not be sent.
    }
  }

  private send(source: ClaimSource, sent: SentClaim): void {
    const isFromTopic = sent.request.from === 'topic';
    this.claims += 1;
    source.served = this.claims;
    source.inFlight += 1;
    this.topicClaims += isFromTopic ? 1 : 0;
    this.parts.capacity.reserve(sent.request);
    if (!isFromTopic) {
      this.markUnproven();
    }
    const claiming = this.parts.store.claim(sent.request).then(
      (result) => this.onClaimed(source, sent, result),
      (error: unknown) => this.onClaimFailed(source, sent, error),
    );
    this.track(claiming);
  }

  private onClaimed(source: ClaimSource, sent: SentClaim, result: ClaimResult): void {
    const { clock, deliver, topics } = this.parts;
    const nowMs = clock.now();
    this.end(source, sent);
    source.record(sent, result, nowMs);
    if (sent.request.from === 'topic' && result.rest === 'unlimited') {
      topics.delete(sent.request.topic);
    }
    this.succeed(source);
    this.hasClaimed ||= sent.request.from === 'lanes';
    const { claims, start } = result;
    try {
      deliver({ sent, claims, start, nowMs, isStarted: this.isStarted });
    } catch (error) {
      // What was not delivered is rescued when its lease ends.
      this.fail(source, error);
    }
    this.planPick();
  }

  private onClaimFailed(source: ClaimSource, sent: SentClaim, error: unknown): void {
    this.end(source, sent);
    source.recordFailure(sent, error);
    this.fail(source, error);
    this.planPick();
  }

  private end(source: ClaimSource, { request }: SentClaim): void {
    source.inFlight -= 1;
    this.topicClaims -= request.from === 'topic' ? 1 : 0;
  }

  private scan(): void {
    if (!this.parts.scanner.isScanning) {
      this.markUnproven();
      this.track(this.parts.scanner.scan());
    }
  }

  /** Writes the declarations of topics that wait. Returns whether lanes wait for that. */
  private declare(nowMs: number): boolean {
    const { declarer, lanes } = this.parts;
    if (declarer.isPending && !this.isDeclaring && lanes.pausedUntilMs <= nowMs) {
      this.isDeclaring = true;
      this.markUnproven();
      const writing = declarer.write().catch((error: unknown) => this.fail(lanes, error));
      this.track(
        writing.then(() => {
          this.isDeclaring = false;
          this.parts.onDeclared();
          this.planPick();
        }),
      );
    }
    return this.isDeclaring || declarer.isPending;
  }

  private track(work: Promise<void>): void {
    this.working.add(work);
    void work.finally(() => this.working.delete(work));
  }

  /** The source waits: at most one poll interval, since a frequent loop must resume soon after the database is back. */
  private fail(source: ClaimSource, error: unknown): void {
    const { failureLog, random, clock, pollIntervalMs } = this.parts;
    failureLog.recordFailure(source.name, error);
    const maxMs = Math.max(FAILURE_PAUSE_MIN_MS, Math.min(FAILURE_PAUSE_MAX_MS, pollIntervalMs));
    const bounds: BackoffBounds = { minMs: FAILURE_PAUSE_MIN_MS, maxMs };
    source.pausedUntilMs = clock.now() + backoffMs(source.failures, bounds, random());
    source.failures += 1;
  }

  private succeed(source: ClaimSource): void {
    const { failureLog, lanes, scanner, clock } = this.parts;
    if (source === lanes) {
      if (!scanner.isHealthy) {
        return;
      }
      this.unprovenSinceMs = lanes.inFlight > 0 || scanner.isScanning ? clock.now() : undefined;
    }
    if (source.failures > 0) {
      source.failures = 0;
      source.pausedUntilMs = -Infinity;
      failureLog.recordSuccess(source.name);
    }
  }

  private markUnproven(): void {
    this.unprovenSinceMs ??= this.parts.clock.now();
  }

  /** When the next topic may have a job that may start. */
  private nextTopicMs(nowMs: number): number {
    let nextMs = Infinity;
    for (const { blockedUntilMs, dueAtMs } of this.parts.topics.values()) {
      const atMs = Math.max(blockedUntilMs, dueAtMs);
      // A topic that is due now waits for a slot: an event says when there is one.
      nextMs = atMs > nowMs ? Math.min(nextMs, atMs) : nextMs;
    }
    return nextMs;
  }

  private scheduleAt(atMs: number, nowMs: number): void {
    const { clock, pollIntervalMs, topics } = this.parts;
    const untilMs = topics.size > 0 ? Math.min(atMs, nowMs + pollIntervalMs) : atMs;
    this.timer = Number.isFinite(untilMs)
      ? clock.schedule(Math.max(untilMs - nowMs, 1), () => this.planPick())
      : undefined;
  }
}

/** Detached, or the handlers of claimed jobs would run in the context of a call of `enqueue`, and in its transaction. */
function defer(pick: () => void): void {
  runDetached(() => void Promise.resolve().then(pick));
}
