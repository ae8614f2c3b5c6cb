import type { LaneStart, WaitingLane } from '../../store/job-store.js';
import { COMMIT_MARGIN_MS } from './scan-cost.js';

/** How the lanes of a scan or a claim begin: each at its lower bound, or at the start of the index. */
export type Reach = 'bounded' | 'full';

/** Of the jobs that were announced between a look and the next one: when the first is due, and the round of the last. */
interface News {
  /** The look's round. */
  readonly askedIn: number;
  firstMs: number;
  lastIn: number;
}

/** News between so many looks is kept apart. */
const NEWS_MAX = 8;

/**
 * What this process knows of one lane. Looks and news are numbered by rounds: a look settles what was said up to the round in
 * which it was sent, and nothing later.
 */
export class LaneState {
  /** When its first job is due, by the process's clock; Infinity when none is known. */
  dueAtMs = Infinity;
  /** The round in which somebody said that something may be due; 0 when nothing is known to be. */
  private armedIn = 0;
  /** What was due before this, by the database's clock, is not waiting any more, as far as is known here. */
  private doneMs = -Infinity;
  /** When a job was due that is known to wait nevertheless, and the round in which that was said. */
  private lateMs = Infinity;
  private lateIn = 0;
  /** What was announced after each of the last looks was sent. */
  private fresh: News[] = [];

  constructor(
    readonly topic: string,
    readonly priority: number,
  ) {}

  get isArmed(): boolean {
    return this.armedIn > 0;
  }

  /** Whether anything is known to be, or said to be, due. */
  isDue(nowMs: number): boolean {
    return this.isArmed || this.dueAtMs <= nowMs;
  }

  /** Something may be due. */
  arm(round: number): void {
    this.armedIn = round;
  }

  /** A scan has found its first job, or none. */
  expect(first: WaitingLane | undefined, nowMs: number): void {
    this.dueAtMs = first ? nowMs + first.dueInMs : Infinity;
  }

  /** A full look has found that jobs of a paused topic wait from then on: bounded looks must not pass them. */
  lower(dueAtMs: number): void {
    this.doneMs = Math.min(this.doneMs, dueAtMs);
  }

  /** A job is there that is due then. `askedIn` is the round of the last look that was sent. */
  announce(dueAtMs: number, round: number, askedIn: number): void {
    const before = this.fresh.at(-1);
    if (before?.askedIn === askedIn) {
      before.firstMs = Math.min(before.firstMs, dueAtMs);
      before.lastIn = round;
    } else {
      this.fresh.push({ askedIn, firstMs: dueAtMs, lastIn: round });
      this.forgetOldest();
    }
    if (dueAtMs < this.doneMs) {
      this.noteLate(dueAtMs, round);
    }
  }

  /** A claim has taken a job that was due then, and all before it. */
  advance(dueAtMs: number, plannedIn: number): void {
    if (this.lateIn <= plannedIn) {
      this.lateMs = Math.max(this.lateMs, dueAtMs);
    }
    this.raise(Math.max(this.doneMs, dueAtMs - COMMIT_MARGIN_MS), plannedIn);
  }

  /** A claim has left nothing due; `claimedAtMs` is `undefined` when it brought nothing at all. */
  exhaust(claimedAtMs: number | undefined, plannedIn: number): void {
    if (this.armedIn <= plannedIn) {
      this.armedIn = 0;
      this.dueAtMs = Infinity;
    }
    if (this.lateIn <= plannedIn) {
      this.lateMs = Infinity;
    }
    if (claimedAtMs !== undefined) {
      this.raise(claimedAtMs - COMMIT_MARGIN_MS, plannedIn);
    }
  }

  /** Bounded looks begin here from now on. What was announced while this was found out may be due before: it is late. */
  raise(doneMs: number, askedIn: number): void {
    this.doneMs = doneMs;
    // Each job of a claim passes here: no lists are made.
    for (const news of this.fresh) {
      if (news.askedIn >= askedIn && news.firstMs < doneMs) {
        this.noteLate(news.firstMs, news.lastIn);
      }
    }
  }

  /** A full look beside claims has found nothing due before this. */
  raiseBeside(dueAtMs: number, askedIn: number): void {
    // What was announced meanwhile may be due before, and a claim that was sent since may have left it.
    if ((this.fresh.at(-1)?.lastIn ?? 0) <= askedIn) {
      this.doneMs = Math.max(this.doneMs, dueAtMs - COMMIT_MARGIN_MS);
    }
  }

  /** Where a look begins. */
  startFor(reach: Reach): LaneStart {
    const { topic, priority } = this;
    const fromMs = reach === 'full' ? -Infinity : Math.min(this.doneMs, this.lateMs);
    return { topic, priority, lowerBound: Number.isFinite(fromMs) ? new Date(Math.floor(fromMs)).toISOString() : null };
  }

  /** News that looks may have settled is added to later news: at worst one look begins too early. */
  private forgetOldest(): void {
    if (this.fresh.length > NEWS_MAX) {
      const [{ firstMs }] = this.fresh.splice(0, 1) as [News];
      this.fresh[0]!.firstMs = Math.min(this.fresh[0]!.firstMs, firstMs);
    }
  }

  /** A job waits below the bound. */
  private noteLate(dueAtMs: number, saidIn: number): void {
    this.lateMs = Math.min(this.lateMs, dueAtMs);
    this.lateIn = saidIn;
    this.armedIn = Math.max(this.armedIn, saidIn);
  }
}
