import type { EnqueueOptions, Idempotency, Job } from '../../core/job.js';
import type { AnyNewJob, TopicLike } from '../../core/job-topic.js';
import type { StoreTransaction } from '../../store/transactions/application-transactions.js';
import type { LinkedInsert } from '../../store/links/link-store.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import type { EnqueueCall, JobHook } from '../runtime/job-hook.js';
import type { EnqueuerParts } from './enqueuer.js';
import { Enqueuer } from './enqueuer.js';
import type { MetadataMembers, NewJobRow } from './new-job-row.js';

/** Returns an enqueuer that runs the hook around each call, or a plain one if the hook does not need that. */
export function createEnqueuer(parts: EnqueuerParts & Pick<EngineParts, 'hook'>): Enqueuer {
  const { aroundEnqueue } = parts.hook;
  return aroundEnqueue ? new HookedEnqueuer(parts, aroundEnqueue) : new Enqueuer(parts);
}

class HookedEnqueuer extends Enqueuer {
  constructor(
    parts: EnqueuerParts,
    private readonly around: NonNullable<JobHook['aroundEnqueue']>,
  ) {
    super(parts);
  }

  override async enqueue(
    topic: TopicLike,
    payload: unknown,
    options?: EnqueueOptions,
    idempotency?: Idempotency,
  ): Promise<Job> {
    return this.storeOne(topic, (call) => super.enqueue(topic, payload, options, idempotency, call.members));
  }

  override async enqueueTx(
    tx: StoreTransaction,
    topic: TopicLike,
    payload: unknown,
    options?: EnqueueOptions,
  ): Promise<Job> {
    return this.storeOne(topic, (call) => super.enqueueTx(tx, topic, payload, options, call.members));
  }

  override async enqueueMany(jobs: readonly AnyNewJob[], tx?: StoreTransaction): Promise<Job[]> {
    const topics = Array.isArray(jobs) ? jobs.map((job: AnyNewJob | null | undefined) => job?.topic) : [];
    const call: EnqueueCall = { topics, members: new Map() };
    return [...(await this.around(call, () => super.enqueueMany(jobs, tx, call.members)))];
  }

  override async enqueueLinked(
    jobs: readonly AnyNewJob[],
    paths: readonly string[],
    toRequest: (rows: readonly NewJobRow[]) => LinkedInsert,
    tx?: StoreTransaction,
    members?: MetadataMembers,
  ): Promise<Job[]> {
    const call: EnqueueCall = { topics: jobs.map(({ topic }) => topic), members: new Map(members) };
    const store = (): Promise<Job[]> => super.enqueueLinked(jobs, paths, toRequest, tx, call.members);
    return [...(await this.around(call, store))];
  }

  private async storeOne(topic: TopicLike, store: (call: EnqueueCall) => Promise<Job>): Promise<Job> {
    const call: EnqueueCall = { topics: [topic], members: new Map() };
    return (await this.around(call, async () => [await store(call)]))[0]!;
  }
}
