/** Jobs are claimed ahead only while handlers take less than this, or less than two claims take. */
const QUICK_MIN_MS = 25;
const QUICK_CLAIMS = 2;
/** Claimed ahead: this much work by the mean duration of handlers, or the work of three claims if that is more. */
const WORK_MIN_MS = 50;
const WORK_CLAIMS = 3;
/** And never more than this. A job that has waited for 500 ms is released. */
const WORK_MAX_MS = 250;
const JOBS_MAX = 1_500;
/** Each handler moves the mean by a twentieth, each claim by a tenth. */
const HANDLER_MEMORY = 20;
const CLAIM_MEMORY = 10;

/**
 * Decides how many jobs are claimed ahead of free slots: about 50 ms of work while handlers are quick, more where the database
 * is far. The next jobs are then here when a slot becomes free, and one claim returns many. A slow job never waits here while
 * another process is idle.
 */
export class Prefetch {
  private handlerMs = Infinity;
  private claimMs = 0;

  constructor(private readonly concurrency: number) {}

  /** @param durationMs how long a handler had its slot. */
  recordHandler(durationMs: number): void {
    this.handlerMs = Number.isFinite(this.handlerMs)
      ? this.handlerMs + (durationMs - this.handlerMs) / HANDLER_MEMORY
      : durationMs;
  }

  /** @param idleMs how long the process had nothing to do during a claim. */
  recordClaim(idleMs: number): void {
    this.claimMs += (Math.min(idleMs, WORK_MAX_MS / WORK_CLAIMS) - this.claimMs) / CLAIM_MEMORY;
  }

  /** Jobs waited too long and were released: no job is claimed ahead until handlers have been quick for a while. */
  recordStale(): void {
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
