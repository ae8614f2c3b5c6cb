import { monotonicMs, setTimeout } from '../real-timers.js';

/** A statement that waits for its answer. */
export interface Awaited {
  /** Where it stands among those that wait. */
  place: number;
  lateAtMs: number;
  /** Its answer has not come in time. */
  late(): void;
}

/** What waits is looked at this often. */
const LOOK_MS = 1_000;

/**
 * The client's own limit for statements, for a network that goes silent without a word. One timer for all that wait: the driver
 * would make one for each, and a function that keeps the statement from the garbage collector, see docs/adr/0020-short-lives.md.
 */
export class AnswerLimit {
  private readonly awaited: Awaited[] = [];
  private isLooking = false;
  private lookedAtMs = 0;

  constructor(private readonly timeoutMs: number) {}

  /** @param times how many statements its time has to suffice for: those before it on the connection, and itself. */
  watch(statement: Awaited, times = 1): void {
    const nowMs = monotonicMs();
    statement.lateAtMs = nowMs + times * this.timeoutMs;
    statement.place = this.awaited.push(statement) - 1;
    if (!this.isLooking) {
      this.isLooking = true;
      this.lookLater(nowMs);
    }
  }

  /** It was answered. */
  forget(statement: Awaited): void {
    const last = this.awaited.pop()!;
    if (last !== statement) {
      last.place = statement.place;
      this.awaited[last.place] = last;
    }
  }

  private lookLater(nowMs: number): void {
    this.lookedAtMs = nowMs;
    // The connections keep the process alive as long as it should be.
    setTimeout(() => this.look(), LOOK_MS).unref();
  }

  private look(): void {
    const nowMs = monotonicMs();
    // After the process has stood still, timers come before the answers that lie there.
    const stoodStill = nowMs - this.lookedAtMs > 2 * LOOK_MS;
    if (!stoodStill) {
      this.awaited.filter(({ lateAtMs }) => lateAtMs <= nowMs).forEach((statement) => statement.late());
    }
    this.isLooking = this.awaited.length > 0;
    if (this.isLooking) {
      this.lookLater(nowMs);
    }
  }
}
