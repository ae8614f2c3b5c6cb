import { QueueUnavailableError, RowLockedError, StatementCancelledError } from '../core/errors.js';
import { prefixWithinBytes } from '../core/limits.js';
import type { StatementConcurrency } from '../store/job-store.js';
import { ALONE } from '../store/job-store.js';
import { setImmediate } from '../store/real-timers.js';
import { AdaptiveBatchSize } from './adaptive-batch-size.js';

export interface BatcherOptions<Item, Answer> {
  /**
   * Handles a batch and answers in its order. When it fails the members are tried one by one: those that it had done must bear
   * that.
   */
  readonly run: (items: readonly Item[]) => Promise<readonly Answer[]>;
  /** Length of the text in one item, for the bound of a batch. Default 0. */
  readonly lengthOf?: (item: Item) => number;
  /**
   * What of a member somebody else may hold, so that it is refused: the others are tried without those that have the same key.
   * Default: nothing, all wait alike.
   */
  readonly keyOf?: (item: Item) => string;
  /**
   * Batches under way at once, at most, and how large one must be that goes out beside another: while the database stores
   * one, the answers to another are given. Default: one after another.
   */
  readonly concurrency?: () => StatementConcurrency;
}

/** One call: its item, and who is told what came of it. Neither of the two may throw. */
export interface BatchedCall<Item, Answer> {
  readonly item: Item;
  resolve(answer: Answer): void;
  reject(error: unknown): void;
}

/**
 * Natural batching: calls of one turn of the event loop go out together, and calls that arrive while no more batches may be
 * under way form the next one. There is no timer, so an idle queue adds no delay, and under load the batches grow by
 * themselves.
 *
 * When a batch is refused its members are tried one by one, so that a bad one fails alone.
 */
export class Batcher<Item, Answer> {
  private waiting: BatchedCall<Item, Answer>[] = [];
  private readonly size = new AdaptiveBatchSize();
  private underWay = 0;
  private isSendingSoon = false;
  private whenIdle: (() => void)[] = [];
  private readonly concurrency: () => StatementConcurrency;

  constructor(private readonly options: BatcherOptions<Item, Answer>) {
    this.concurrency = options.concurrency ?? (() => ALONE);
  }

  /** Resolves when the batch with this item has been handled. */
  add(item: Item): Promise<Answer> {
    return new Promise((resolve, reject) => this.enter({ item, resolve, reject }));
  }

  /** As `add`, without a promise: a thousand of them for a thousand jobs are a good part of what a job costs. */
  enter(call: BatchedCall<Item, Answer>): void {
    this.waiting.push(call);
    this.sendSoon();
  }

  /** Whether nothing waits and nothing is under way. */
  get isIdle(): boolean {
    return this.waiting.length === 0 && this.underWay === 0;
  }

  /** Resolves when nothing waits and nothing is under way. */
  idle(): Promise<void> {
    return this.isIdle ? Promise.resolve() : new Promise((resolve) => this.whenIdle.push(resolve));
  }

  /** At the end of this turn of the event loop. */
  private sendSoon(): void {
    if (!this.isSendingSoon && this.maySend()) {
      this.isSendingSoon = true;
      setImmediate(() => {
        this.isSendingSoon = false;
        this.send();
      });
    }
  }

  private maySend(): boolean {
    const { atOnce, jobsMin } = this.concurrency();
    return this.underWay < atOnce && this.waiting.length >= (this.underWay === 0 ? 1 : jobsMin);
  }

  private send(): void {
    while (this.maySend()) {
      const batch = this.take();
      this.underWay += 1;
      void this.handle(batch).then(() => this.done());
    }
  }

  private done(): void {
    this.underWay -= 1;
    this.sendSoon();
    if (this.isIdle) {
      this.whenIdle.splice(0).forEach((resolve) => resolve());
    }
  }

  private take(): BatchedCall<Item, Answer>[] {
    const { lengthOf = () => 0 } = this.options;
    const { atOnce, jobsMin } = this.concurrency();
    const parts = Math.max(1, Math.min(atOnce - this.underWay, Math.floor(this.waiting.length / jobsMin)));
    const share = Math.ceil(this.waiting.length / parts);
    const count = prefixWithinBytes(this.waiting, 0, Math.min(share, this.size.limit), ({ item }) => lengthOf(item));
    return this.waiting.splice(0, count);
  }

  private async handle(batch: readonly BatchedCall<Item, Answer>[]): Promise<void> {
    const error = await this.try(batch);
    if (error instanceof StatementCancelledError) {
      this.size.shrink(batch.length);
    } else if (error === undefined) {
      this.size.grow();
    }
    // Without an answer there is nothing to tell apart.
    if (this.isForAll(error) || (error !== undefined && batch.length === 1)) {
      batch.forEach((call) => call.reject(error));
    } else if (error !== undefined) {
      await this.handleOneByOne(batch);
    }
  }

  private async handleOneByOne(batch: readonly BatchedCall<Item, Answer>[]): Promise<void> {
    const locked = new Map<string | undefined, unknown>();
    for (const [index, single] of batch.entries()) {
      const key = this.options.keyOf?.(single.item);
      // Whoever asks for a key that is held would wait as long as the one before, and in vain.
      const error = locked.get(key) ?? (await this.try([single]));
      if (this.isForAll(error)) {
        return batch.slice(index).forEach((call) => call.reject(error));
      }
      if (error instanceof RowLockedError) {
        locked.set(key, error);
      }
      if (error !== undefined) {
        single.reject(error);
      }
    }
  }

  /** @returns what went wrong, `undefined` when every member has its answer. */
  private async try(batch: readonly BatchedCall<Item, Answer>[]): Promise<unknown> {
    let answers: readonly Answer[];
    try {
      answers = await this.options.run(batch.map(({ item }) => item));
    } catch (error) {
      return error ?? new Error('the batch failed without an error');
    }
    batch.forEach((call, index) => call.resolve(answers[index]!));
    return undefined;
  }

  /** Whether the next try would fail in the same way, whoever's it is: each would wait in vain for what locks the table. */
  private isForAll(error: unknown): boolean {
    return error instanceof QueueUnavailableError && !(this.options.keyOf && error instanceof RowLockedError);
  }
}
