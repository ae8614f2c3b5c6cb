import { monotonicMs, setImmediate, setTimeout } from '../../real-timers.js';

/** A statement that waits for its answer. */
export interface Unanswered {
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
  private readonly awaited: Unanswered[] = [];
  private isLooking = false;

  constructor(private readonly timeoutMs: number) {}

  /** @param ahead how many are at work on its connection: its time has to suffice for them, too. */
  watch(statement: Unanswered, ahead: number): void {
    const nowMs = monotonicMs();
    statement.lateAtMs = nowMs + (ahead + 1) * this.timeoutMs;
    statement.place = this.awaited.push(statement) - 1;
    if (!this.isLooking) {
      this.isLooking = true;
      this.lookLater();
    }
  }

  /** It was answered. */
  forget(statement: Unanswered): void {
    const last = this.awaited.pop()!;
    if (last !== statement) {
      last.place = statement.place;
      this.awaited[last.place] = last;
    }
  }

  private lookLater(): void {
    // After a process has stood still timers come first, and then the answers that lie there: they are read before the look. The
    // connections keep the process alive as long as it should be.
    setTimeout(() => setImmediate(() => this.look()), LOOK_MS).unref();
  }

  private look(): void {
    const nowMs = monotonicMs();
    this.awaited.filter(({ lateAtMs }) => lateAtMs <= nowMs).forEach((statement) => statement.late());
    this.isLooking = this.awaited.length > 0;
    if (this.isLooking) {
      this.lookLater();
    }
  }
}
