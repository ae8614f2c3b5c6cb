import { SET_LENGTH_MAX } from '../../core/bounds.js';
import type { ClaimRequest } from '../../store/jobs/job-records.js';
import { AdaptiveBatchSize } from '../runtime/adaptive-batch-size.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import type { RegisteredHandler } from '../runtime/handler-registry.js';
import type { JobRunner } from '../run/job-runner.js';
import type { DefinitionDeclarer } from '../topics/definition-declarer.js';

/** A topic of which this process may claim jobs, and how many. */
export interface TopicCapacity {
  readonly topic: string;
  /** How many more jobs of the topic may run here. */
  readonly available: number;
  /** The lane of this priority is kept even when it is empty: new jobs are expected there. */
  readonly defaultPriority: number;
  /** Set for transactional topics, which share connections. */
  readonly shared?: SharedCapacity | undefined;
  /** Set for batch handlers: how many jobs one call takes. Their claims have no other topics, since a slot serves many jobs. */
  readonly batchSize?: number | undefined;
}

/** A claim, and how many slots its jobs may need. */
export type SlotRequest = ClaimRequest & { readonly slots: number };

/** How many more jobs of several topics together may run here. */
export interface SharedCapacity {
  readonly available: number;
}

type ClaimCapacityParts = Pick<EngineParts, 'store' | 'registry' | 'concurrency' | 'decoder'> & {
  readonly runner: JobRunner;
  readonly declarer: DefinitionDeclarer;
  /** The topics that have limits or keyed jobs, and so a source of their own. */
  readonly limited: ReadonlyMap<string, unknown>;
};

/** The free slots that a source gets, and whether it is the only one that wants any: then it may claim ahead of free slots. */
export interface SlotShare {
  readonly slots: number;
  readonly isAlone: boolean;
}

/** No more jobs are claimed while this many outcomes wait for the database. */
const UNRECORDED_MAX = 2_000;

/** How many more jobs this process may claim, and of which topics. Jobs that claims in flight may return count as taken. */
export class ClaimCapacity {
  private readonly inFlight = new Set<SlotRequest>();
  /** Limits one claim. A claim that took too long lowers it. */
  private readonly size = new AdaptiveBatchSize();
  /** Moving mean of payload lengths. Starts high, so that the first claim cannot return a flood of large payloads. */
  private payloadLength = 16 * 1_024;
  /**
   * Whether some topic had no capacity when `availableTopics` was last called. The loop waits right after that call; if this is set,
   * the end of a job wakes it.
   */
  lacksCapacity = false;

  constructor(private readonly options: ClaimCapacityParts) {}

  /** Reserves what a claim may return, until `recordResult`. */
  reserve(request: SlotRequest): void {
    this.inFlight.add(request);
  }

  /** @param tookTooLong `undefined` after an error, or a claim of a topic, that says nothing about the size of claims from lanes. */
  recordResult(request: SlotRequest, tookTooLong: boolean | undefined): void {
    this.inFlight.delete(request);
    if (tookTooLong) {
      this.size.shrink(request.limit);
    } else if (tookTooLong === false) {
      this.size.grow();
    }
  }

  /** Whether slots are free for jobs of these topics, one for each topic given. */
  hasSlotsFor(topics: readonly string[]): boolean {
    const { freeSlots } = this;
    return (
      topics.length <= freeSlots &&
      [...countEach(topics)].every(([topic, count]) => count <= this.capacityWithin(topic, freeSlots).limit)
    );
  }

  /** How many jobs of a topic may be claimed for these slots, and how many of the slots they may need. */
  capacityWithin(topic: string, slots: number): { readonly limit: number; readonly slots: number } {
    const handler = this.options.registry.get(topic);
    if (!handler || this.isRecordingLate || this.isPaused(topic)) {
      return { limit: 0, slots: 0 };
    }
    const { concurrency, batch, transactional } = handler.settings;
    if (batch) {
      const limit = Math.max(0, this.batchCapacity(handler, slots, 0));
      return { limit, slots: Math.ceil(limit / batch.size) };
    }
    const limit = Math.min(
      slots,
      this.payloadLimit,
      concurrency === undefined ? Infinity : concurrency - this.taken(topic),
      transactional ? this.transactionCapacity(this.options.registry.claimable()) : Infinity,
    );
    return { limit, slots: limit };
  }

  /** Whether the handler's own limit, and the connections of transactional handlers, leave room for another job of the topic. */
  hasRoomFor(topic: string): boolean {
    const { registry } = this.options;
    const handler = registry.get(topic);
    if (this.isPaused(topic)) {
      return false;
    }
    if (handler?.settings.batch) {
      return this.batchCapacity(handler, this.options.concurrency, 0) > 0;
    }
    const { concurrency, transactional } = handler?.settings ?? {};
    const hasConnection = !transactional || this.transactionCapacity(registry.claimable()) > 0;
    return hasConnection && (concurrency === undefined || this.taken(topic) < concurrency);
  }

  /** Whether this process lacks a key for payloads of the topic. */
  private isPaused(topic: string): boolean {
    return this.options.decoder?.isPaused(topic) ?? false;
  }

  get freeSlots(): number {
    return Math.max(0, this.options.concurrency - this.options.runner.slotCount - this.incoming);
  }

  /** Whether the end of a job has made room for a claim from lanes. Called at the end of each job, so it counts and compares. */
  get hasRoomForLanes(): boolean {
    return this.lacksCapacity && (this.limit > 0 || this.options.runner.batches.isUsed);
  }

  recordPayloadLength(length: number): void {
    this.payloadLength += (length - this.payloadLength) / 10;
  }

  /** How many jobs the next claim from lanes may return, if no topic with limits wants slots. */
  get limit(): number {
    const { runner, concurrency, store } = this.options;
    const { slotCount, prefetch } = runner;
    if (this.isRecordingLate) {
      return 0;
    }
    const { payloadLimit, incoming } = this;
    const slots = Math.max(0, concurrency - slotCount - incoming);
    const beyondSlots = Math.max(0, incoming - (concurrency - slotCount));
    const target = Math.min(prefetch.target, payloadLimit);
    const perClaim = Math.ceil(target / store.capabilities.pipelined.atOnce);
    // Refills the buffer only when half or less is left: many small claims cost more than they gain.
    const ahead = beyondSlots <= target / 2 ? Math.min(perClaim, target - beyondSlots) : 0;
    return Math.min(slots + ahead, this.size.limit, payloadLimit);
  }

  /** How many jobs the next claim from lanes may return. Beside another source nothing is claimed ahead: it would take every slot that becomes free. */
  limitWithin(share: SlotShare): number {
    return share.isAlone
      ? this.limit
      : this.isRecordingLate
        ? 0
        : Math.min(share.slots, this.size.limit, this.payloadLimit);
  }

  /** Whether one more claim may be sent now, and is large enough for its own commit. */
  get canPipeline(): boolean {
    const { atOnce, minJobsForAnother } = this.options.store.capabilities.pipelined;
    return this.inFlight.size < atOnce && this.limit >= minJobsForAnother;
  }

  /** The topics that may be claimed now. */
  availableTopics(limit = this.limit, share?: SlotShare): TopicCapacity[] {
    const { limited } = this.options;
    const all = this.topics(limit, share);
    const topics = limited.size === 0 ? all : all.filter(({ topic }) => !limited.has(topic));
    const available = topics.filter((topic) => topic.available > 0);
    this.lacksCapacity = available.length < topics.length;
    return available;
  }

  /** The topics without limits of which this process could run another job, if a slot were free. */
  topicsWithRoom(): TopicCapacity[] {
    const { limited } = this.options;
    return this.topics(Infinity).filter(({ topic, available }) => available > 0 && !limited.has(topic));
  }

  /** All topics with a handler and their capacity, which may be 0 or less. Without those whose limits are not written yet. */
  topics(limit = this.limit, share?: SlotShare): TopicCapacity[] {
    const { registry, declarer } = this.options;
    const all = registry.claimable();
    const handlers = declarer.isPending ? all.filter(({ topic }) => declarer.isWritten(topic)) : all;
    const transactions = { available: this.transactionCapacity(handlers) };
    return handlers.map((handler) => {
      const { topic, settings } = handler;
      const { concurrency, transactional, priority, batch } = settings;
      const available = Math.min(
        limit,
        concurrency === undefined ? Infinity : concurrency - this.taken(topic),
        transactional ? transactions.available : Infinity,
      );
      return {
        topic,
        available: this.isPaused(topic) ? 0 : batch ? this.laneBatchCapacity(handler, share) : available,
        defaultPriority: priority ?? 0,
        shared: transactional ? transactions : undefined,
        batchSize: batch?.size,
      };
    });
  }

  private laneBatchCapacity(handler: RegisteredHandler, share: SlotShare | undefined): number {
    return share && !share.isAlone
      ? this.batchCapacity(handler, share.slots, 0)
      : this.batchCapacity(handler, this.freeSlots, this.options.runner.prefetch.target);
  }

  /** How many more jobs of a batch handler may be claimed: as many as its calls in these slots take, and those of `callsAhead` more calls. */
  private batchCapacity(handler: RegisteredHandler, slots: number, callsAhead: number): number {
    if (this.isRecordingLate) {
      return 0;
    }
    const claimable = this.options.runner.batches.countClaimable(handler, slots, callsAhead);
    return Math.min(claimable - this.reservedJobs(handler.topic), this.size.limit, this.payloadLimit);
  }

  /** Whether too many outcomes wait for the database: no more jobs are claimed then. */
  private get isRecordingLate(): boolean {
    return this.options.runner.unrecordedCount >= this.options.concurrency + UNRECORDED_MAX;
  }

  private get payloadLimit(): number {
    return Math.max(1, Math.floor(SET_LENGTH_MAX / Math.max(1, this.payloadLength)));
  }

  /** Slots for jobs that wait for one, and for jobs that claims in flight may return. */
  private get incoming(): number {
    return this.options.runner.bufferedCount + this.reserved(({ slots }) => slots);
  }

  /**
   * Returns the capacity that transactional topics share: each job needs a connection. While handlers are slow no such job waits
   * here, because another process may have a free connection.
   */
  private transactionCapacity(handlers: readonly RegisteredHandler[]): number {
    const { runner, store, concurrency } = this.options;
    const { transactionsAtOnce } = store.capabilities;
    const ahead = Math.floor(runner.prefetch.target * Math.min(1, transactionsAtOnce / concurrency));
    const transactional = handlers.filter(({ settings }) => settings.transactional);
    const taken = transactional.reduce((count, { topic }) => count + this.taken(topic), 0);
    return transactionsAtOnce + ahead - taken;
  }

  /** Jobs of a topic that run, wait for a slot, or may be returned by claims in flight. */
  private taken(topic: string): number {
    return this.options.runner.countJobs(topic) + this.reservedJobs(topic);
  }

  private reservedJobs(topic: string): number {
    return this.reserved((request) =>
      request.from === 'topic'
        ? request.topic === topic
          ? request.limit
          : 0
        : Math.min(
            request.limit,
            request.lanes.reduce((sum, lane) => sum + (lane.topic === topic ? lane.limit : 0), 0),
          ),
    );
  }

  private reserved(count: (request: SlotRequest) => number): number {
    let sum = 0;
    for (const request of this.inFlight) {
      sum += count(request);
    }
    return sum;
  }
}

function countEach(topics: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  topics.forEach((topic) => counts.set(topic, (counts.get(topic) ?? 0) + 1));
  return counts;
}

/** Gives shared capacity to the first lanes that ask for it. */
export function limitShared<T extends { readonly shared: SharedCapacity | undefined; readonly limit: number }>(
  lanes: readonly T[],
): T[] {
  const left = new Map<SharedCapacity, number>();
  return lanes.flatMap((lane) => {
    const { shared } = lane;
    if (!shared) {
      return [lane];
    }
    const available = left.get(shared) ?? shared.available;
    const limit = Math.min(lane.limit, available);
    left.set(shared, available - limit);
    return limit > 0 ? [{ ...lane, limit }] : [];
  });
}
