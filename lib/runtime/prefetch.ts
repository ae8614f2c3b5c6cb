/** Claimed work may wait this long for a slot here, by the mean time of handlers. */
const BUFFERED_WORK_MS = 50;
/** Or for so many claims, if those take longer: the next one is sent when half of it is gone, and is here before the rest is. */
const BUFFERED_CLAIMS = 2;
/** A claim that takes longer is no reason to keep more here: it would be given back before its turn came. */
const CLAIM_MAX_MS = 125;
/** More are never claimed ahead. */
const BUFFERED_JOBS_MAX = 1_500;
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

  /** A claim was answered after so long. */
  noteClaimed(tookMs: number): void {
    this.claimMs += (Math.min(tookMs, CLAIM_MAX_MS) - this.claimMs) / CLAIM_MEMORY;
  }

  /** Jobs had to be given back: nothing is claimed ahead until handlers have been quick for a while. */
  noteStale(): void {
    this.handlerMs = Math.max(this.handlerMs, this.quickMs * HANDLER_MEMORY);
  }

  /** How many jobs may wait for a slot. */
  get target(): number {
    return this.handlerMs > this.quickMs
      ? 0
      : Math.min(BUFFERED_JOBS_MAX, Math.ceil((this.concurrency * this.workMs) / Math.max(this.handlerMs, 0.01)));
  }

  /** How long claimed work may wait here. */
  private get workMs(): number {
    return Math.max(BUFFERED_WORK_MS, BUFFERED_CLAIMS * this.claimMs);
  }

  /** Handlers that take longer are never claimed for before a slot is free. */
  private get quickMs(): number {
    return this.workMs / 2;
  }
}
