/** Claimed work may wait this long for a slot here, by the mean time of handlers. */
const BUFFERED_WORK_MS = 50;
/** Handlers that take longer are never claimed for before a slot is free. */
const QUICK_MS = 25;
/** More are never claimed ahead. */
const BUFFERED_JOBS_MAX = 1_500;
/** Each handler moves the mean by one twentieth of the way to its own time. */
const MEMORY = 20;

/**
 * How many jobs are claimed ahead of free slots: about 50 ms of work, while handlers are quick. Then the next jobs are
 * here when a slot becomes free, and a claim brings many at once; a slow job never waits here while another process is
 * idle.
 */
export class Prefetch {
  private meanMs = Infinity;

  constructor(private readonly concurrency: number) {}

  /** A handler has returned that had its slot for so long. */
  noteReturned(tookMs: number): void {
    this.meanMs = Number.isFinite(this.meanMs) ? this.meanMs + (tookMs - this.meanMs) / MEMORY : tookMs;
  }

  /** Jobs had to be given back: nothing is claimed ahead until handlers have been quick for a while. */
  noteStale(): void {
    this.meanMs = Math.max(this.meanMs, QUICK_MS * MEMORY);
  }

  /** How many jobs may wait for a slot. */
  get target(): number {
    return this.meanMs > QUICK_MS
      ? 0
      : Math.min(BUFFERED_JOBS_MAX, Math.ceil((this.concurrency * BUFFERED_WORK_MS) / Math.max(this.meanMs, 0.01)));
  }
}
