import { SET_LENGTH_MAX } from '../../core/limits.js';
import type { ClaimRequest, JobStore } from '../../store/job-store.js';
import type { JobRunner } from '../run/job-runner.js';
import type { HandlerRegistry, RegisteredHandler } from '../handler-registry.js';
import type { TopicCapacity } from './lane-index.js';
import { AdaptiveBatchSize } from '../adaptive-batch-size.js';

export interface ClaimRoomOptions {
  readonly store: JobStore;
  readonly registry: HandlerRegistry;
  readonly runner: JobRunner;
  readonly concurrency: number;
}

/** Outcomes that may wait for the database before no more jobs are claimed. */
const UNSETTLED_MAX = 2_000;

/** How many more jobs this process may claim, and of which topics: what claims under way may bring is taken already. */
export class ClaimCapacity {
  private readonly coming = new Set<ClaimRequest>();
  /** How many one claim may bring: fewer after one that took too long. */
  private readonly size = new AdaptiveBatchSize();
  /** Moving mean of the payloads' lengths; begins high, so that the first claim of large ones is no flood. */
  private payloadLength = 16 * 1_024;
  /**
   * Whether some topic was full when `rooms` was last asked. The dispatcher sleeps right after asking: only while this is true
   * can the end of a job give it something new to claim, and only then is it woken by it.
   */
  wasShort = false;

  constructor(private readonly options: ClaimRoomOptions) {}

  /** Keeps what a claim may bring, until it is answered. */
  reserve(request: ClaimRequest): void {
    this.coming.add(request);
  }

  /** @param hasTakenTooLong `undefined`: it has failed, whatever time it took. */
  noteAnswer(request: ClaimRequest, hasTakenTooLong: boolean | undefined): void {
    this.coming.delete(request);
    if (hasTakenTooLong) {
      this.size.shrink(request.limit);
    } else if (hasTakenTooLong === false) {
      this.size.grow();
    }
  }

  /** A claimed payload is as long as this. */
  noteLength(length: number): void {
    this.payloadLength += (length - this.payloadLength) / 10;
  }

  /** How many jobs the next claim may bring. */
  get limit(): number {
    const { runner, concurrency, store } = this.options;
    const { count, bufferedCount, openCount, prefetch } = runner;
    if (openCount - bufferedCount >= concurrency + UNSETTLED_MAX) {
      return 0;
    }
    const affordable = Math.max(1, Math.floor(SET_LENGTH_MAX / Math.max(1, this.payloadLength)));
    const coming = bufferedCount + this.reserved(({ limit }) => limit);
    const slots = Math.max(0, concurrency - count - coming);
    const waiting = Math.max(0, coming - (concurrency - count));
    const target = Math.min(prefetch.target, affordable);
    const share = Math.ceil(target / store.capabilities.pipelined.atOnce);
    // The buffer is filled up when half of it is gone: many small claims would cost more than they bring.
    const ahead = waiting <= target / 2 ? Math.min(share, target - waiting) : 0;
    return Math.min(slots + ahead, this.size.limit, affordable);
  }

  /** Whether it is worth a claim behind the one that is under way. */
  get isForAnother(): boolean {
    const { atOnce, jobsMin } = this.options.store.capabilities.pipelined;
    return this.coming.size < atOnce && this.limit >= jobsMin;
  }

  /** Topics that may be claimed now. */
  rooms(limit = this.limit): TopicCapacity[] {
    const topics = this.topics(limit);
    const rooms = topics.filter(({ room }) => room > 0);
    this.wasShort = rooms.length < topics.length;
    return rooms;
  }

  /** All topics with a handler, and what room each has. */
  topics(limit = this.limit): TopicCapacity[] {
    const handlers = this.options.registry.claimable();
    const transactions = { room: this.transactionRoom(handlers) };
    return handlers.map(({ topic, settings: { concurrency, transactional, priority } }) => ({
      topic,
      room: Math.min(
        limit,
        concurrency === undefined ? Infinity : concurrency - this.taken(topic),
        transactional ? transactions.room : Infinity,
      ),
      usualPriority: priority ?? 0,
      shared: transactional ? transactions : undefined,
    }));
  }

  /** Another process may have connections for them: only quick ones wait here for those of this one. */
  private transactionRoom(handlers: readonly RegisteredHandler[]): number {
    const { runner, store, concurrency } = this.options;
    const { transactionsAtOnce } = store.capabilities;
    const ahead = Math.floor(runner.prefetch.target * Math.min(1, transactionsAtOnce / concurrency));
    const transactional = handlers.filter(({ settings }) => settings.transactional);
    const taken = transactional.reduce((count, { topic }) => count + this.taken(topic), 0);
    return transactionsAtOnce + ahead - taken;
  }

  /** Jobs of a topic that run, wait for a slot, or may be on their way here. */
  private taken(topic: string): number {
    const lanesOf = ({ lanes, limit }: ClaimRequest): number =>
      Math.min(
        limit,
        lanes.reduce((sum, lane) => sum + (lane.topic === topic ? lane.limit : 0), 0),
      );
    return this.options.runner.countOf(topic) + this.reserved(lanesOf);
  }

  private reserved(countOf: (request: ClaimRequest) => number): number {
    let sum = 0;
    for (const request of this.coming) {
      sum += countOf(request);
    }
    return sum;
  }
}
