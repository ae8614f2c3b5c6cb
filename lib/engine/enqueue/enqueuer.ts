/*
 * Enqueue. In: a topic, a payload and options. Out: a stored row, as a `Job`; committed, except in the caller's
 * transaction.
 * Read `enqueue` first, then new-job-row.ts (options → row), then ../runtime/batcher.ts (calls that arrive together share a statement).
 * `enqueueMany` and `enqueueTx` build the same rows and call `store.insert` without the batcher.
 */
import { IdempotencyConflictError, InvalidOptionsError } from '../../core/errors.js';
import { isLinked, readDependencies } from '../../core/dependencies.js';
import { describeValue } from '../../core/error-text.js';
import type { EnqueueOptions, Idempotency, Job } from '../../core/job.js';
import type { EnqueueSettings } from '../../core/job-options.js';
import { readEnqueueOptions, readNewJobOptions } from '../../core/job-options.js';
import type { AnyNewJob, TopicLike } from '../../core/job-topic.js';
import type { InsertedJob, JobInsert } from '../../store/jobs/job-records.js';
import type { LinkedInsert, LinkedInsertResult } from '../../store/links/link-store.js';
import { isNeverDue } from '../../store/links/link-store.js';
import type { StoreTransaction } from '../../store/transactions/application-transactions.js';
import { endsUnseen, isJobsTransaction } from '../../store/transactions/adapted-transactions.js';
import { toFreshJob } from '../../store/jobs/row-mapper.js';
import { measureInsert } from '../../store/jobs/batch-json.js';
import { Batcher } from '../runtime/batcher.js';
import { PayloadEncoder } from '../codec/payload-encoder.js';
import { linkRows, toLinks } from './linked-insert.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import type { UnhandledTopics } from '../topics/unhandled-topics.js';
import type { StoredJob } from '../runtime/wake-signal.js';
import type { MetadataMembers } from './new-job-row.js';
import { repeatInsert } from './repeat-insert.js';
import { addMembers, fillConcurrencyKey, NewJobRow, resolveTopic, validatePayloads, withPath } from './new-job-row.js';

export type EnqueuerParts = Pick<
  EngineParts,
  | 'store'
  | 'registry'
  | 'wakeSignal'
  | 'emit'
  | 'payloadBytesMax'
  | 'maxRetries'
  | 'retention'
  | 'strictTopics'
  | 'codec'
  | 'logger'
  | 'clock'
> & { readonly unhandledTopics: UnhandledTopics };

/** Inserts new jobs: in a batch, as a list, or in the caller's transaction. */
export class Enqueuer {
  private readonly plain: Batcher<JobInsert, InsertedJob>;
  /** Jobs with a unique key: an open transaction that holds the key must not delay jobs without a key. */
  private readonly keyed: Batcher<JobInsert, InsertedJob>;
  /** Jobs with an idempotency key and no unique key. An insert waits only for another with the same key. */
  private readonly idempotent: Batcher<JobInsert, InsertedJob>;
  private readonly batchers: readonly Batcher<JobInsert, InsertedJob>[];
  /** List inserts and payload checks, which no batcher counts: `idle()` waits for them too. */
  private readonly otherWork = new Set<Promise<void>>();

  constructor(
    private readonly options: EnqueuerParts,
    readonly encoder = new PayloadEncoder(options),
  ) {
    const run = (rows: readonly JobInsert[], sinceMs?: number): Promise<InsertedJob[]> =>
      repeatInsert(options, rows, () =>
        options.store.insert(rows, undefined, options.wakeSignal.canClaim(rows), sinceMs),
      );
    const uniqueLockKey = ({ topic, uniqueKey }: JobInsert): string => JSON.stringify([topic, uniqueKey]);
    const { clock } = options;
    this.plain = new Batcher({
      run,
      clock,
      measureLength: measureInsert,
      concurrency: () => options.store.capabilities.inserts,
    });
    this.keyed = new Batcher({ run, clock, measureLength: measureInsert, lockKey: uniqueLockKey });
    this.idempotent = new Batcher({
      run,
      clock,
      measureLength: measureInsert,
      lockKey: (row) => row.idempotency!.key,
    });
    this.batchers = [this.plain, this.keyed, this.idempotent];
  }

  /**
   * @param members the queue's own members of the metadata: JSON texts by name.
   * @throws IdempotencyConflictError when the idempotency key was used with another body.
   */
  async enqueue(
    topic: TopicLike,
    payload: unknown,
    options?: EnqueueOptions,
    idempotency?: Idempotency,
    members?: MetadataMembers,
  ): Promise<Job> {
    const row = this.toRow(topic, payload, addMembers(readEnqueueOptions(options), members), idempotency);
    if (this.mustPrepare(row)) {
      await this.trackOtherWork(this.prepare([row]));
    }
    const batcher = row.uniqueKey !== null ? this.keyed : idempotency ? this.idempotent : this.plain;
    const first = await batcher.add(row);
    const inserted = row.replacement ? await this.encoder.replace(row, first, () => batcher.add(row)) : first;
    if (idempotency && inserted.replayedBodyHash !== null && inserted.replayedBodyHash !== idempotency.bodyHash) {
      throw new IdempotencyConflictError(idempotency.key);
    }
    this.onInserted([row], [inserted]);
    return (await this.loadJobs([row], [inserted]))[0]!;
  }

  async enqueueTx(
    tx: StoreTransaction,
    topic: TopicLike,
    payload: unknown,
    options?: EnqueueOptions,
    members?: MetadataMembers,
  ): Promise<Job> {
    if (!tx) {
      // Without this check the job would be stored outside the transaction that the caller means.
      throw new InvalidOptionsError(
        'tx',
        `expected an open transaction: an EntityManager of TypeORM, or an adapter of nestjs-jobs/orm such as fromPrisma(tx); got ${describeValue(tx)}`,
      );
    }
    const row = this.toRow(topic, payload, addMembers(readEnqueueOptions(options), members));
    return (await this.insertInTransaction(tx, [row]))[0]!;
  }

  /** Stores all jobs or none. */
  enqueueMany(jobs: readonly AnyNewJob[], tx?: StoreTransaction, members?: MetadataMembers): Promise<Job[]> {
    const stored = this.insertMany(jobs, tx, members);
    return tx ? stored : this.trackOtherWork(stored);
  }

  /** Stores jobs and their links, all or none. `paths` names the jobs in errors. */
  enqueueLinked(
    jobs: readonly AnyNewJob[],
    paths: readonly string[],
    toRequest: (rows: readonly NewJobRow[]) => LinkedInsert,
    tx?: StoreTransaction,
    members?: MetadataMembers,
  ): Promise<Job[]> {
    const store = async (): Promise<Job[]> => {
      const rows = jobs.map((job, index) => this.toRowOfList(job, paths[index]!, members));
      return this.insertLinked(rows, toRequest(rows), tx);
    };
    return tx ? store() : this.trackOtherWork(store());
  }

  /** Returns a row for a payload and settings that were checked before. */
  toRowOfSettings(topic: TopicLike, payload: unknown, settings: EnqueueSettings): NewJobRow {
    const row = this.toRow(topic, payload, settings);
    fillConcurrencyKey(row);
    return row;
  }

  /** @throws InvalidPayloadError, PayloadTooLargeError; InvalidOptionsError for the topic; the errors of the codec. */
  async checkPayload(topic: TopicLike, payload: unknown): Promise<void> {
    const row = this.toRow(topic, payload, readEnqueueOptions());
    await validatePayloads([row]);
    await this.encoder.encodeRow(row);
  }

  /** Stores a row whose payload was checked before. */
  async insertRow(row: NewJobRow): Promise<Job> {
    await this.encoder.encodeRow(row);
    const inserted = await this.plain.add(row);
    this.onInserted([row], [inserted]);
    return toFreshJob(row, inserted);
  }

  /** Whether no insert is in flight. Inserts in transactions of callers do not count. */
  get isIdle(): boolean {
    return this.otherWork.size === 0 && this.batchers.every(({ isIdle }) => isIdle);
  }

  /** Resolves when the inserts that are in flight now have succeeded or failed. */
  async idle(): Promise<void> {
    await Promise.all(this.otherWork);
    await Promise.all(this.batchers.map((batcher) => batcher.idle()));
  }

  private trackOtherWork<T>(work: Promise<T>): Promise<T> {
    const ended = work.then(
      () => void this.otherWork.delete(ended),
      () => void this.otherWork.delete(ended),
    );
    this.otherWork.add(ended);
    return work;
  }

  private toRow(
    topic: TopicLike,
    payload: unknown,
    settings: EnqueueSettings,
    idempotency: Idempotency | null = null,
    path?: string,
  ): NewJobRow {
    const hint = path === undefined ? '; enqueue(topic, payload, options)' : '';
    const resolved = resolveTopic(topic, hint, this.options);
    return new NewJobRow(resolved, this.encoder.toText(payload), settings, idempotency, path);
  }

  private toRowOfList(job: AnyNewJob, path: string, members: MetadataMembers | undefined): NewJobRow {
    if (typeof job !== 'object' || job === null || Array.isArray(job)) {
      throw new InvalidOptionsError(path, `expected an object, got ${describeValue(job)}`);
    }
    try {
      return this.toRow(job.topic, job.payload, addMembers(readNewJobOptions(job), members), null, path);
    } catch (error) {
      throw withPath(path, error);
    }
  }

  private async insertMany(
    jobs: readonly AnyNewJob[],
    tx: StoreTransaction | undefined,
    members: MetadataMembers | undefined,
  ): Promise<Job[]> {
    if (!Array.isArray(jobs)) {
      throw new InvalidOptionsError('jobs', `expected a list of jobs, got ${describeValue(jobs)}`);
    }
    const rows = Array.from(jobs as readonly AnyNewJob[], (job, index) =>
      this.toRowOfList(job, `jobs[${index}]`, members),
    );
    if (rows.length === 0) {
      return [];
    }
    const dependencies = (jobs as readonly AnyNewJob[]).some(isLinked) ? readDependencies(jobs) : [];
    if (dependencies.length > 0) {
      return this.insertLinked(rows, linkRows(rows, toLinks(rows, dependencies)), tx);
    }
    if (tx) {
      return this.insertInTransaction(tx, rows);
    }
    const { store, wakeSignal } = this.options;
    return this.insertOwn(rows, () => store.insert(rows, undefined, wakeSignal.canClaim(rows)));
  }

  /** Stores jobs with their links. Children of parents that have ended are released or cancelled at once. */
  private async insertLinked(rows: readonly NewJobRow[], request: LinkedInsert, tx?: StoreTransaction): Promise<Job[]> {
    const { store, wakeSignal } = this.options;
    let result: LinkedInsertResult | undefined;
    const due = rows.filter((row) => !isBlocked(row));
    let isOwn = false;
    const insert = async (): Promise<InsertedJob[]> => {
      isOwn = wakeSignal.canClaim(due);
      return (result = await store.links.insert(request, tx)).inserted;
    };
    const jobs = tx
      ? await this.insertInTransaction(tx, rows, insert, () => store.links.report(result!.changes))
      : await this.insertOwn(rows, insert);
    if (!tx && !isOwn) {
      store.announce(new Set(due.map(({ topic }) => topic)));
    }
    const { released, cancelled } = result!.changes;
    const changedIds = [...released, ...cancelled].map(({ id }) => id);
    const changed = changedIds.length === 0 ? [] : await store.find(changedIds, tx);
    return jobs.map((job) => changed.find(({ id }) => id === job.id) ?? job);
  }

  private async insertOwn(rows: readonly NewJobRow[], insert: () => Promise<InsertedJob[]>): Promise<Job[]> {
    await this.prepare(rows);
    const inserted = await this.replaceEncoded(rows, await repeatInsert(this.options, rows, insert));
    this.onInserted(rows, inserted);
    return this.loadJobs(rows, inserted);
  }

  /** Sends debounced jobs again whose encoded payloads must replace those of other jobs. */
  private async replaceEncoded(
    rows: readonly NewJobRow[],
    inserted: readonly InsertedJob[],
    tx?: StoreTransaction,
  ): Promise<readonly InsertedJob[]> {
    const insert = async (row: NewJobRow): Promise<InsertedJob> => (await this.options.store.insert([row], tx))[0]!;
    if (!this.encoder.isActive) {
      return inserted;
    }
    const results: InsertedJob[] = [];
    for (const [index, row] of rows.entries()) {
      results.push(await this.encoder.replace(row, inserted[index]!, insert));
    }
    return results;
  }

  /** Whether `prepare` has anything to do for the row. */
  private mustPrepare({ schema, toKey, topic }: NewJobRow): boolean {
    return (
      schema !== undefined ||
      toKey !== undefined ||
      this.encoder.isActive ||
      (this.options.strictTopics && !this.options.unhandledTopics.isHandled(topic))
    );
  }

  /** Checks rows, and encodes their payloads. */
  private async prepare(rows: readonly NewJobRow[]): Promise<void> {
    if (this.options.strictTopics) {
      await this.options.unhandledTopics.ensureHandled(rows);
    }
    await validatePayloads(rows);
    if (this.encoder.isActive) {
      await Promise.all(rows.map((row) => this.encodeRow(row)));
    }
  }

  private async encodeRow(row: NewJobRow): Promise<void> {
    try {
      await this.encoder.encodeRow(row);
    } catch (error) {
      throw row.path === undefined ? error : withPath(row.path, error);
    }
  }

  private async insertInTransaction(
    tx: StoreTransaction,
    rows: readonly NewJobRow[],
    insert = (): Promise<readonly InsertedJob[]> => this.options.store.insert(rows, tx),
    onCommitted?: () => void,
  ): Promise<Job[]> {
    const { store, wakeSignal } = this.options;
    let inserted: readonly InsertedJob[] = [];
    // Joins before the first `await`: the end of the transaction waits for this call even if the caller does not.
    const call = store.joinTransaction(tx, (committed) => {
      if (committed && inserted.length > 0) {
        // With an adapter the notification has travelled with the insert.
        const isAnnounced = isJobsTransaction(tx) || wakeSignal.canClaim(rows);
        this.onInserted(rows, inserted);
        if (!isAnnounced) {
          store.announce(new Set(rows.map(({ topic }) => topic)));
        }
        onCommitted?.();
      }
    });
    try {
      if (rows.some((row) => this.mustPrepare(row))) {
        await this.prepare(rows);
      }
      inserted = await this.replaceEncoded(rows, await insert(), tx);
      if (endsUnseen(tx)) {
        this.emitInserted(rows, inserted, true);
      }
      return await this.loadJobs(rows, inserted, tx);
    } finally {
      call.finish();
    }
  }

  /** Emits the events and wakes the workers. Called before `loadJobs`, whose query may fail. */
  onInserted(rows: readonly JobInsert[], inserted: readonly InsertedJob[]): void {
    const waiting = this.emitInserted(rows, inserted);
    if (waiting.length > 0) {
      this.options.wakeSignal.onStored(waiting);
    }
  }

  /** Emits the events. Returns what workers can claim now. @param uncommitted whether the transaction may still roll back. */
  private emitInserted(
    rows: readonly JobInsert[],
    inserted: readonly InsertedJob[],
    uncommitted?: true,
  ): readonly StoredJob[] {
    const { emit, unhandledTopics } = this.options;
    const waiting: StoredJob[] = [];
    const end = uncommitted ? { uncommitted } : {};
    inserted.forEach((result, index) => {
      const { id, runAt, deduplicated, replaced, replayedBodyHash } = result;
      const { topic, priority } = rows[index]!;
      if (replaced) {
        emit({ type: 'replaced', id, topic, runAt, ...end });
        waiting.push({ topic, priority, runAt });
      } else if (replayedBodyHash === null) {
        // A repeated request stores no second job; its event was emitted for the first request.
        emit({ type: 'enqueued', id, topic, runAt, deduplicated, ...end });
      }
      if (!isExisting(result) && !isBlocked(rows[index]!)) {
        waiting.push({ topic, priority, runAt });
        unhandledTopics.onUsed(topic);
      }
    });
    return waiting;
  }

  /** Reads only the jobs that existed before: new ones are known already. */
  private async loadJobs(
    rows: readonly JobInsert[],
    inserted: readonly InsertedJob[],
    tx?: StoreTransaction,
  ): Promise<Job[]> {
    if (!inserted.some(isExisting)) {
      return rows.map((row, index) => toFreshJob(row, inserted[index]!));
    }
    const existingIds = [...new Set(inserted.filter(isExisting).map(({ id }) => id))];
    const existing = await this.options.store.find(existingIds, tx);
    return rows.map((row, index) => {
      const result = inserted[index]!;
      const { id, deduplicated, replaced, replayedBodyHash } = result;
      const found = isExisting(result) ? existing.find((job) => job.id === id) : undefined;
      // When the existing job was deleted before it could be read, only its id is known.
      const job = found ?? toFreshJob({ ...row, id }, result);
      const flags = { ...(replaced && { replaced }), ...(replayedBodyHash !== null && { replayed: true }) };
      return Object.assign(job, { deduplicated, ...flags });
    });
  }
}

/** Whether the job waits for parents. */
function isBlocked({ runAt }: JobInsert): boolean {
  return runAt !== null && isNeverDue(runAt);
}

/** Whether an existing job holds one of the keys, so that no row was inserted. */
function isExisting({ deduplicated, replayedBodyHash }: InsertedJob): boolean {
  return deduplicated || replayedBodyHash !== null;
}
