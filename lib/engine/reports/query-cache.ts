import type { Clock } from '../../core/clock.js';

/** The topics that a query covers; `null` means all. */
export type Topics = readonly string[] | null;

/** A query is slow when it took longer than this and returned a large result. */
const CACHE_THRESHOLD_MS = 25;
const MAX_AGE_MS = 2_000;
/** From this age on a new query runs in the background, so that callers who poll do not wait. */
const REFRESH_AGE_MS = 1_000;
const ENTRIES_MAX = 100;

interface Entry<T> {
  /** The latest result, if its query was slow. */
  cached?: { readonly value: T; readonly readAtMs: number } | undefined;
  running?: Promise<T> | undefined;
  /** Starts when the running query ends. Serves the callers that came in between. */
  next?: Promise<T> | undefined;
}

/**
 * Caches slow queries for 2 s. Fast queries are never cached, so that callers see data read after they asked. Callers that
 * wait at the same time share one query.
 *
 * A small result is never cached: on a busy machine a small query may be slow too, and its result must still be exact.
 */
export class QueryCache<T> {
  private readonly entries = new Map<string, Entry<T>>();

  constructor(
    private readonly clock: Clock,
    private readonly query: (topics: Topics) => Promise<T>,
    private readonly isLarge: (result: T) => boolean,
  ) {}

  async get(topics: Topics): Promise<T> {
    const entry = this.entry(topics);
    if (!this.isFresh(entry)) {
      return this.read(entry, topics);
    }
    const { value, readAtMs } = entry.cached!;
    if (this.clock.now() - readAtMs >= REFRESH_AGE_MS && !entry.running) {
      // The next caller that has to wait gets the error.
      this.start(entry, topics).catch(() => undefined);
    }
    return value;
  }

  /** Whether `get` returns without a query. */
  has(topics: Topics): boolean {
    return this.isFresh(this.entries.get(toKey(topics)));
  }

  private isFresh(entry: Entry<T> | undefined): boolean {
    return entry?.cached !== undefined && this.clock.now() - entry.cached.readAtMs < MAX_AGE_MS;
  }

  private read(entry: Entry<T>, topics: Topics): Promise<T> {
    if (!entry.running) {
      return this.start(entry, topics);
    }
    if (entry.cached) {
      return entry.running;
    }
    // The running query began before this call, and may be a fast one.
    entry.next ??= entry.running
      .catch(() => undefined)
      .then(() => {
        entry.next = undefined;
        return entry.running ?? this.start(entry, topics);
      });
    return entry.next;
  }

  private start(entry: Entry<T>, topics: Topics): Promise<T> {
    const readAtMs = this.clock.now();
    const running = this.query(topics)
      .then((value) => {
        const isSlow = this.isLarge(value) && this.clock.now() - readAtMs > CACHE_THRESHOLD_MS;
        entry.cached = isSlow ? { value, readAtMs } : undefined;
        return value;
      })
      .finally(() => {
        entry.running = undefined;
      });
    entry.running = running;
    return running;
  }

  private entry(topics: Topics): Entry<T> {
    const key = toKey(topics);
    let entry = this.entries.get(key);
    if (!entry) {
      this.dropUnused();
      entry = {};
      this.entries.set(key, entry);
    }
    return entry;
  }

  private dropUnused(): void {
    if (this.entries.size >= ENTRIES_MAX) {
      for (const [key, entry] of this.entries) {
        if (!entry.running && !this.isFresh(entry)) {
          this.entries.delete(key);
        }
      }
    }
  }
}

function toKey(topics: Topics): string {
  return JSON.stringify(topics && [...topics].sort());
}
