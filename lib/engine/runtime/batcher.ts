import type { Clock } from '../../core/clock.js';
import { QueueUnavailableError, RowLockedError, StatementCancelledError, WriteLockError } from '../../core/errors.js';
import { countFitting } from '../../core/bounds.js';
import type { StatementConcurrency } from '../../store/job-store.js';
import { ONE_AT_A_TIME } from '../../store/job-store.js';
import { setImmediate } from '../../store/runtime/real-timers.js';
import { AdaptiveBatchSize } from './adaptive-batch-size.js';

export interface BatcherOptions<Item, Result> {
  /**
   * Handles a batch and returns the results in its order. After a failure it may be called again with the same items.
   *
   * @param sinceMs when the oldest call of the batch began; only with `clock`.
   */
  readonly run: (items: readonly Item[], sinceMs?: number) => Promise<readonly Result[]>;
  /**
   * Measures how long calls wait. After a `WriteLockError` only the calls that have waited for so long reject; the others are sent again.
   * Default: none, and the error rejects the whole batch.
   */
  readonly clock?: Clock;
  /** Length of the text in one item, for the size limit of a batch. Default 0. */
  readonly measureLength?: (item: Item) => number;
  /**
   * The key on which an item may be locked. After a `RowLockedError` items with other keys are still tried.
   * Default: none, and a lock rejects the whole batch.
   */
  readonly lockKey?: (item: Item) => string;
  /** How many batches may be in flight, and how large a second one must be. Default: one at a time. */
  readonly concurrency?: () => StatementConcurrency;
}

/** One item, and the callbacks for its result or its error. They must not throw. */
export interface BatchedCall<Item, Result> {
  readonly item: Item;
  /** When the call began. */
  readonly sinceMs?: number | undefined;
  resolve(result: Result): void;
  reject(error: unknown): void;
}

/** Calls that have waited for nearly the whole lock timeout reject with those that have, or each of them would need a batch of its own. */
const LATE_SHARE = 0.95;

/**
 * Natural batching: calls of one turn of the event loop form a batch. While as many batches as allowed are in flight, new calls
 * wait and form the next batch. There is no timer: an idle queue adds no delay, and under load the batches grow.
 *
 * When a batch fails, its items are tried one by one, so that a bad one fails alone.
 */
export class Batcher<Item, Result> {
  private waiting: BatchedCall<Item, Result>[] = [];
  private readonly size = new AdaptiveBatchSize();
  private inFlight = 0;
  private isScheduled = false;
  private idleWaiters: (() => void)[] = [];
  private readonly concurrency: () => StatementConcurrency;

  constructor(private readonly options: BatcherOptions<Item, Result>) {
    this.concurrency = options.concurrency ?? (() => ONE_AT_A_TIME);
  }

  /** Resolves when the batch with this item has been handled. */
  add(item: Item): Promise<Result> {
    const sinceMs = this.options.clock?.now();
    return new Promise((resolve, reject) => this.push({ item, sinceMs, resolve, reject }));
  }

  /** Like `add`, with callbacks: a promise for each of a thousand jobs is a large part of their cost. */
  push(call: BatchedCall<Item, Result>): void {
    this.waiting.push(call);
    this.schedule();
  }

  /** Whether no item waits and no batch is in flight. */
  get isIdle(): boolean {
    return this.waiting.length === 0 && this.inFlight === 0;
  }

  idle(): Promise<void> {
    return this.isIdle ? Promise.resolve() : new Promise((resolve) => this.idleWaiters.push(resolve));
  }

  /** Sends batches at the end of this turn of the event loop. */
  private schedule(): void {
    if (this.isScheduled || !this.canSend) {
      return;
    }
    this.isScheduled = true;
    setImmediate(() => {
      this.isScheduled = false;
      while (this.canSend) {
        void this.send(this.nextBatch());
      }
    });
  }

  private get canSend(): boolean {
    const { atOnce, minJobsForAnother } = this.concurrency();
    return this.inFlight < atOnce && this.waiting.length >= (this.inFlight === 0 ? 1 : minJobsForAnother);
  }

  /** The first waiting calls: an equal share for each batch that may go out now, within the size limits. */
  private nextBatch(): BatchedCall<Item, Result>[] {
    const { measureLength = () => 0 } = this.options;
    const { atOnce, minJobsForAnother } = this.concurrency();
    const batches = Math.max(1, Math.min(atOnce - this.inFlight, Math.floor(this.waiting.length / minJobsForAnother)));
    const share = Math.ceil(this.waiting.length / batches);
    const count = countFitting(this.waiting, 0, Math.min(share, this.size.limit), ({ item }) => measureLength(item));
    return this.waiting.splice(0, count);
  }

  private async send(batch: readonly BatchedCall<Item, Result>[]): Promise<void> {
    this.inFlight += 1;
    const error = await this.run(batch);
    if (error === undefined) {
      this.size.grow();
    } else {
      if (error instanceof StatementCancelledError) {
        this.size.shrink(batch.length);
      }
      await this.onBatchError(batch, error);
    }
    this.inFlight -= 1;
    this.schedule();
    if (this.isIdle) {
      this.idleWaiters.splice(0).forEach((resolve) => resolve());
    }
  }

  /** Passes the results to the calls, or returns the error of the whole batch. */
  private async run(batch: readonly BatchedCall<Item, Result>[]): Promise<unknown> {
    let results: readonly Result[];
    try {
      results = await this.options.run(
        batch.map(({ item }) => item),
        batch[0]!.sinceMs,
      );
    } catch (error) {
      return error ?? new Error('the batch failed without an error');
    }
    batch.forEach((call, index) => call.resolve(results[index]!));
    return undefined;
  }

  /** Tries the items one by one, unless each of them would fail in the same way. */
  private async onBatchError(batch: readonly BatchedCall<Item, Result>[], batchError: unknown): Promise<void> {
    if (batch.length === 1 || this.isForAll(batchError)) {
      return this.rejectAll(batch, batchError);
    }
    const lockedKeys = new Map<string | undefined, unknown>();
    for (const [index, call] of batch.entries()) {
      const key = this.options.lockKey?.(call.item);
      // An item with a locked key would wait for the full lock timeout again.
      const error = lockedKeys.get(key) ?? (await this.run([call]));
      if (this.isForAll(error)) {
        return this.rejectAll(batch.slice(index), error);
      }
      if (error instanceof RowLockedError) {
        lockedKeys.set(key, error);
      }
      if (error !== undefined) {
        call.reject(error);
      }
    }
  }

  /** Rejects calls with an error that they share, except those that have only begun to wait for SQLite's lock: they are sent again. */
  private rejectAll(batch: readonly BatchedCall<Item, Result>[], error: unknown): void {
    const { clock } = this.options;
    const sinceMax =
      error instanceof WriteLockError && clock ? clock.now() - error.lockTimeoutMs * LATE_SHARE : Infinity;
    const isLate = ({ sinceMs = -Infinity }: BatchedCall<Item, Result>, index: number): boolean =>
      index === 0 || sinceMs <= sinceMax;
    this.waiting.unshift(...batch.filter((call, index) => !isLate(call, index)));
    batch.filter(isLate).forEach((call) => call.reject(error));
  }

  /** Whether every other item would fail in the same way: the database is unavailable, or a lock concerns the whole table. */
  private isForAll(error: unknown): boolean {
    return error instanceof QueueUnavailableError && !(this.options.lockKey && error instanceof RowLockedError);
  }
}
