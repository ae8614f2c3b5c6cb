/*
 * Enqueue. In: a topic, a payload and options. Out: a stored row, as a `Job`; committed, except in the caller's
 * transaction.
 * Read `enqueue` first, then new-job-row.ts (options → row), then ../batcher.ts (calls that arrive together share a statement).
 * `enqueueMany` and `enqueueTx` build the same rows and call `store.insert` without the batcher.
 */
import {
  IdempotencyConflictError,
  InvalidOptionsError,
  QueueUnavailableError,
  toUncertain,
} from '../../core/errors.js';
import { isLinked, readDependencies } from '../../core/dependencies.js';
import { describeValue } from '../../core/error-text.js';
import type { EnqueueOptions, Idempotency, Job } from '../../core/job.js';
import type { EnqueueSettings } from '../../core/job-options.js';
import { readEnqueueOptions, readNewJobOptions } from '../../core/job-options.js';
import type { AnyNewJob, TopicLike } from '../../core/job-topic.js';
import { encodePayload } from '../../core/payload.js';
import type { InsertedJob, JobInsert } from '../../store/store-records.js';
import type { LinkedInsert, LinkedInsertResult } from '../../store/link-store.js';
import { BLOCKED_UNTIL } from '../../store/link-store.js';
import type { StoreTransaction } from '../../store/job-store.js';
import { toFreshJob } from '../../store/row-mapper.js';
import { measureInsert } from '../../store/batch-json.js';
import { Batcher } from '../batcher.js';
import { linkRows, toLinks } from '../group/linked-insert.js';
import type { EngineParts } from '../engine-parts.js';
import type { UnhandledTopics } from '../maintain/unhandled-topics.js';
import type { StoredJob } from '../wake-signal.js';
import type { MetadataMembers } from './new-job-row.js';
import { addMembers, fillConcurrencyKey, NewJobRow, resolveTopic, validatePayloads, withPath } from './new-job-row.js';

export type EnqueuerParts = Pick<
  EngineParts,
  'store' | 'registry' | 'wakeSignal' | 'emit' | 'payloadBytesMax' | 'maxRetries' | 'retention' | 'strictTopics'
> & { readonly unhandledTopics: UnhandledTopics };

/** An insert is sent once more when its response is lost. The ids of the jobs make that safe. */
const INSERT_TRIES_MAX = 2;
/**
 * An insert whose response is lost is sent again only if finished jobs are kept at least this long. Otherwise a job could run and
 * be deleted before the statement times out (30 s), and the second insert would run it again.
 */
const REPEAT_RETENTION_MIN_MS = 60_000;

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

  constructor(private readonly options: EnqueuerParts) {
    const run = (rows: readonly JobInsert[]): Promise<InsertedJob[]> => this.insert(rows);
    const uniqueLockKey = ({ topic, uniqueKey }: JobInsert): string => JSON.stringify([topic, uniqueKey]);
    this.plain = new Batcher({
      run,
      measureLength: measureInsert,
      concurrency: () => options.store.capabilities.inserts,
    });
    this.keyed = new Batcher({ run, measureLength: measureInsert, lockKey: uniqueLockKey });
    this.idempotent = new Batcher({ run, measureLength: measureInsert, lockKey: (row) => row.idempotency!.key });
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
    if (this.needsCheck(row)) {
      await this.trackOtherWork(this.checkRows([row]));
    }
    const batcher = row.uniqueKey !== null ? this.keyed : idempotency ? this.idempotent : this.plain;
    const inserted = await batcher.add(row);
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
        'manager',
        `expected the EntityManager of an open transaction, got ${describeValue(tx)}`,
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
    toRequest: (rows: readonly JobInsert[]) => LinkedInsert,
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
  toRowOfSettings(topic: TopicLike, payload: unknown, settings: EnqueueSettings): JobInsert {
    const row = this.toRow(topic, payload, settings);
    fillConcurrencyKey(row);
    return row;
  }

  /** @throws InvalidPayloadError, PayloadTooLargeError; InvalidOptionsError for the topic. */
  async checkPayload(topic: TopicLike, payload: unknown): Promise<void> {
    await validatePayloads([this.toRow(topic, payload, readEnqueueOptions())]);
  }

  /** Stores a row whose payload was checked before. */
  async insertRow(row: JobInsert): Promise<Job> {
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
    return new NewJobRow(resolved, encodePayload(payload, this.options.payloadBytesMax), settings, idempotency, path);
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
    await this.checkRows(rows);
    const inserted = await this.insert(rows);
    this.onInserted(rows, inserted);
    return this.loadJobs(rows, inserted);
  }

  /** Stores jobs with their links. Children of parents that have ended are released or cancelled at once. */
  private async insertLinked(rows: readonly NewJobRow[], request: LinkedInsert, tx?: StoreTransaction): Promise<Job[]> {
    const { store } = this.options;
    let result: LinkedInsertResult | undefined;
    const insert = async (): Promise<InsertedJob[]> => (result = await store.links.insert(request, tx)).inserted;
    const jobs = tx
      ? await this.insertInTransaction(tx, rows, request.jobs, insert, () => store.links.report(result!.changes))
      : await this.insertOwn(rows, request.jobs, insert);
    const { released, cancelled } = result!.changes;
    const changedIds = [...released, ...cancelled].map(({ id }) => id);
    const changed = changedIds.length === 0 ? [] : await store.find(changedIds, tx);
    return jobs.map((job) => changed.find(({ id }) => id === job.id) ?? job);
  }

  private async insertOwn(
    rows: readonly NewJobRow[],
    inserts: readonly JobInsert[],
    insert: () => Promise<InsertedJob[]>,
  ): Promise<Job[]> {
    await this.checkRows(rows);
    const inserted = await this.insert(inserts, insert);
    this.onInserted(inserts, inserted);
    this.options.store.announce(new Set(inserts.filter((row) => !isBlocked(row)).map(({ topic }) => topic)));
    return this.loadJobs(inserts, inserted);
  }

  /** Whether `checkRows` has anything to do for the row. */
  private needsCheck({ schema, toKey, topic }: NewJobRow): boolean {
    return (
      schema !== undefined ||
      toKey !== undefined ||
      (this.options.strictTopics && !this.options.unhandledTopics.isHandled(topic))
    );
  }

  private async checkRows(rows: readonly NewJobRow[]): Promise<void> {
    if (this.options.strictTopics) {
      await this.options.unhandledTopics.ensureHandled(rows);
    }
    await validatePayloads(rows);
  }

  private async insert(
    rows: readonly JobInsert[],
    insert = (): Promise<InsertedJob[]> => this.options.store.insert(rows),
  ): Promise<InsertedJob[]> {
    const triesMax = this.isRepeatable(rows) ? INSERT_TRIES_MAX : 1;
    let isUncertain = false;
    for (let tries = 1; ; tries += 1) {
      try {
        return await insert();
      } catch (error) {
        if (!(error instanceof QueueUnavailableError)) {
          throw error;
        }
        isUncertain ||= error.isUncertain;
        if (isUncertain) {
          this.options.wakeSignal.onMaybeStored(rows);
        }
        if (!error.isUncertain || tries === triesMax) {
          // The last try stored nothing, but an earlier one may have.
          throw isUncertain && !error.isUncertain ? toUncertain(error) : error;
        }
      }
    }
  }

  /**
   * Whether a second insert would find the ids of the rows: they stay in the table long enough, or carry an idempotency key, which
   * keeps the row for a day.
   */
  private isRepeatable(rows: readonly JobInsert[]): boolean {
    const { retention, registry } = this.options;
    const ages = [retention, ...registry.retentions()].flatMap((each) => Object.values(each));
    const isEachKept = ages.every((age) => age === false || age >= REPEAT_RETENTION_MIN_MS);
    return isEachKept || rows.every(({ idempotency }) => idempotency !== null);
  }

  private async insertInTransaction(
    tx: StoreTransaction,
    rows: readonly NewJobRow[],
    inserts: readonly JobInsert[] = rows,
    insert = (): Promise<InsertedJob[]> => this.options.store.insert(inserts, tx),
    onCommitted?: () => void,
  ): Promise<Job[]> {
    const { store } = this.options;
    let inserted: readonly InsertedJob[] = [];
    // Joins before the first `await`: the end of the transaction waits for this call even if the caller does not.
    const call = store.joinTransaction(tx, (committed) => {
      if (committed && inserted.length > 0) {
        this.onInserted(inserts, inserted);
        store.announce(new Set(inserts.map(({ topic }) => topic)));
        onCommitted?.();
      }
    });
    try {
      if (rows.some((row) => this.needsCheck(row))) {
        await this.checkRows(rows);
      }
      inserted = await insert();
      return await this.loadJobs(inserts, inserted, tx);
    } finally {
      call.finish();
    }
  }

  /** Emits the events and wakes the workers. Called before `loadJobs`, whose query may fail. */
  onInserted(rows: readonly JobInsert[], inserted: readonly InsertedJob[]): void {
    const { emit, wakeSignal, unhandledTopics } = this.options;
    const waiting: StoredJob[] = [];
    inserted.forEach((result, index) => {
      const { id, runAt, deduplicated, replaced, replayedBodyHash } = result;
      const { topic, priority } = rows[index]!;
      if (replaced) {
        emit({ type: 'replaced', id, topic, runAt });
        waiting.push({ topic, priority, runAt });
      } else if (replayedBodyHash === null) {
        // A repeated request stores no second job; its event was emitted for the first request.
        emit({ type: 'enqueued', id, topic, runAt, deduplicated });
      }
      if (!isExisting(result) && !isBlocked(rows[index]!)) {
        waiting.push({ topic, priority, runAt });
        unhandledTopics.onUsed(topic);
      }
    });
    if (waiting.length > 0) {
      wakeSignal.onStored(waiting);
    }
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
  return runAt === BLOCKED_UNTIL;
}

/** Whether an existing job holds one of the keys, so that no row was inserted. */
function isExisting({ deduplicated, replayedBodyHash }: InsertedJob): boolean {
  return deduplicated || replayedBodyHash !== null;
}
