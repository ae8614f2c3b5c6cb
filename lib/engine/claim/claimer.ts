import type { Clock } from '../../core/clock.js';
import { StatementCancelledError } from '../../core/errors.js';
import type { Claim } from '../../core/job.js';
import type { ClaimRequest, JobStore } from '../../store/job-store.js';
import type { JobRunner } from '../run/job-runner.js';
import type { ClaimCapacity } from './claim-capacity.js';
import type { Reach } from './lane-state.js';
import type { LaneIndex, PlannedLane } from './lane-index.js';

export interface ClaimerOptions {
  readonly store: JobStore;
  readonly clock: Clock;
  readonly runner: JobRunner;
  readonly book: LaneIndex;
  readonly room: ClaimCapacity;
  readonly leaseMs: number;
  /** What claimed rows say in `locked_by`. */
  readonly worker: string;
  /** Where claims begin. */
  readonly reach: () => Reach;
}

type PlannedClaim = ClaimRequest & { readonly lanes: readonly PlannedLane[] };

/** What came of one claim: there was no room for any, nothing is known to be due, it has got nothing, or it was worth it. */
type Claimed = 'no room' | 'nothing known' | 'empty-handed' | 'go on';

/** Claims what the book knows to be due, as much as there is room for, and gives it to the attempts. */
export class Claimer {
  /** Whether jobs that arrive are to run here; otherwise they are given back. */
  isOn = false;
  /** Claims that are not answered yet, in the order in which they were sent. */
  private readonly underWay: Promise<Claimed>[] = [];
  /** The last claim got all that it asked for: more is due. */
  private isBacklogged = false;
  /** Of a claim, not told yet. */
  private failure: { readonly error: unknown } | undefined;

  constructor(private readonly options: ClaimerOptions) {}

  start(): void {
    this.isOn = true;
    this.failure = undefined;
  }

  stop(): void {
    this.isOn = false;
  }

  /** Whether a claim is under way. */
  get isBusy(): boolean {
    return this.underWay.length > 0;
  }

  /** Resolves when none is that is now. */
  async answered(): Promise<void> {
    await Promise.all(this.underWay);
  }

  /** Whether anything that there is room for is known to be, or said to be, due. */
  isAnyDue(): boolean {
    const { book, room, clock } = this.options;
    return book.isAnyDue(room.rooms(), clock.now());
  }

  /** Sends a claim, unless one is under way, and waits for the first that is. @throws what any of them failed for. */
  async claim(): Promise<Claimed> {
    const refusal = this.underWay.length === 0 && this.send();
    if (refusal) {
      return refusal;
    }
    this.sendAhead();
    const claimed = await this.underWay[0]!;
    const { failure } = this;
    this.failure = undefined;
    if (failure) {
      throw failure.error;
    }
    return claimed;
  }

  /** While more is due than a claim brings, the next one is sent before the last one is answered. */
  sendAhead(): void {
    const mayBe = this.isBacklogged && this.isOn && !this.failure && this.underWay.length > 0;
    while (mayBe && this.options.room.isForAnother && !this.send());
  }

  /** Sends a claim, or says why not. */
  private send(): 'no room' | 'nothing known' | undefined {
    const { clock, leaseMs, worker, book, room, reach } = this.options;
    const { limit } = room;
    const rooms = room.rooms(limit);
    if (rooms.length === 0) {
      return 'no room';
    }
    const lanes = book.plan(rooms, limit, clock.now(), reach());
    if (lanes.length === 0) {
      return 'nothing known';
    }
    const claiming = this.bring({ lanes, limit, leaseMs, worker }, book.ask());
    this.underWay.push(claiming);
    void claiming.then(() => this.underWay.splice(this.underWay.indexOf(claiming), 1));
    return undefined;
  }

  /** Never fails: nobody may be waiting. What it failed for is thrown by the next round. */
  private async bring(request: PlannedClaim, plannedIn: number): Promise<Claimed> {
    const { store, clock, runner, leaseMs, room } = this.options;
    const askedMs = clock.now();
    const idleBeforeMs = clock.idleMs?.() ?? askedMs;
    room.reserve(request);
    try {
      const claims = await store.claim(request);
      const nowMs = clock.now();
      room.noteAnswer(request, nowMs - askedMs > leaseMs / 3);
      runner.prefetch.noteClaimed((clock.idleMs?.() ?? nowMs) - idleBeforeMs);
      this.take(claims, nowMs, askedMs + leaseMs);
      return this.learnFrom(request, claims, plannedIn);
    } catch (error) {
      room.noteAnswer(request, error instanceof StatementCancelledError || undefined);
      this.isBacklogged = false;
      this.failure ??= { error };
      return 'empty-handed';
    }
  }

  private take(claims: Claim[], claimedAtMs: number, leaseEndsMs: number): void {
    const { runner, room } = this.options;
    claims.sort((a, b) => a.priority - b.priority || a.runAt.getTime() - b.runAt.getTime() || (a.id < b.id ? -1 : 1));
    for (const claim of claims) {
      room.noteLength(claim.payloadLength);
      if (this.isOn) {
        runner.accept(claim, claimedAtMs, leaseEndsMs);
      } else {
        runner.release(claim, claimedAtMs, leaseEndsMs);
      }
    }
  }

  private learnFrom({ lanes, limit }: PlannedClaim, claims: readonly Claim[], plannedIn: number): Claimed {
    const { book } = this.options;
    this.isBacklogged = claims.length === limit;
    book.advance(lanes, claims, plannedIn);
    if (claims.length < limit) {
      book.settle(lanes, claims, plannedIn);
    }
    return claims.length > 0 || this.isAnyDue() ? 'go on' : 'empty-handed';
  }
}
