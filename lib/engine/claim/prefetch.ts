/** Handlers that take longer, or longer than so many claims, are never claimed for before a slot is free. */
const QUICK_MIN_MS = 25;
const QUICK_CLAIMS = 2;
/** Claimed work may wait for a slot here for this long, by the mean time of handlers, or for so many claims if those take longer. */
const WORK_MIN_MS = 50;
const WORK_CLAIMS = 3;
/** Never longer: what has waited for half a second is given back. */
const WORK_MAX_MS = 250;
/** More are never claimed ahead. */
const JOBS_MAX = 1_500;
/** Each handler moves the mean by one twentieth of the way to its own time. */
const HANDLER_MEMORY = 20;
/** Each claim does by one tenth. */
const CLAIM_MEMORY = 10;

/**
 * How many jobs are claimed ahead of free slots: about 50 ms of work, and more where the database is far, while handlers are
 * quick. Then the next jobs are here when a slot becomes free, and a claim brings many at once; a slow job never waits here
 * while another process is idle.
 */
export class Prefetch {
  private handlerMs = Infinity;
  private claimMs = 0;

  constructor(private readonly concurrency: number) {}

  /** A handler has returned that had its slot for so long. */
  noteReturned(tookMs: number): void {
    this.handlerMs = Number.isFinite(this.handlerMs)
      ? this.handlerMs + (tookMs - this.handlerMs) / HANDLER_MEMORY
      : tookMs;
  }

  /** A claim was answered, and for so long meanwhile the process has had nothing to do. */
  noteClaimed(idleMs: number): void {
    this.claimMs += (Math.min(idleMs, WORK_MAX_MS / WORK_CLAIMS) - this.claimMs) / CLAIM_MEMORY;
  }

  /** Jobs had to be given back: nothing is claimed ahead until handlers have been quick for a while. */
  noteStale(): void {
    this.handlerMs = Math.max(this.handlerMs, this.quickMs * HANDLER_MEMORY);
  }

  /** How many jobs may wait for a slot. */
  get target(): number {
    return this.handlerMs > this.quickMs
      ? 0
      : Math.min(JOBS_MAX, Math.ceil((this.concurrency * this.workMs) / Math.max(this.handlerMs, 0.01)));
  }

  private get quickMs(): number {
    return Math.max(QUICK_MIN_MS, QUICK_CLAIMS * this.claimMs);
  }

  private get workMs(): number {
    return Math.max(WORK_MIN_MS, WORK_CLAIMS * this.claimMs);
  }
}
