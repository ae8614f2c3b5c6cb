import { describeValue } from '../../core/error-text.js';
import {
  IdempotencyConflictError,
  InvalidOptionsError,
  QueueUnavailableError,
  toUncertain,
} from '../../core/errors.js';
import type { EnqueueOptions, Idempotency, Job } from '../../core/job.js';
import type { EnqueueSettings } from '../../core/job-options.js';
import { readEnqueueOptions, readTopicOptions, readNewJobOptions } from '../../core/job-options.js';
import type { AnyNewJob, TopicLike } from '../../core/job-topic.js';
import { toTopicName, toTypedTopic } from '../../core/job-topic.js';
import { encodePayload } from '../../core/payload.js';
import type { InsertedJob, JobInsert, StoreTransaction, StatementConcurrency } from '../../store/job-store.js';
import { freshJob } from '../../store/row-mapper.js';
import { insertLength } from '../../store/batch-json.js';
import { Batcher } from '../batcher.js';
import type { EngineParts } from '../engine-parts.js';
import type { DraftedTopic } from './new-job-row.js';
import { NewJobRow, DraftedRow, judge, judgeAll, placedError } from './new-job-row.js';

type EnqueuerParts = Pick<
  EngineParts,
  'store' | 'registry' | 'wakeSignal' | 'emit' | 'payloadBytesMax' | 'maxRetries' | 'retention'
>;

/** An insert whose answer was lost is repeated this often; the ids make that safe. */
const INSERT_TRIES_MAX = 2;
/**
 * The same id protects a repeated insert only while the first row is still there. A job that is kept for less than this after
 * its end may have run and been deleted when the repetition comes, since a statement may take half a minute; it would be
 * stored, and run, twice. Such inserts are not repeated.
 */
const REPEATABLE_AGE_MS = 60_000;

/** Turns new jobs into rows: alone, in a batch with whoever enqueues at the same time, or in a caller's transaction. */
export class Enqueuer {
  /** Keyed jobs apart: a key that an open transaction holds must not make unrelated callers wait. */
  private readonly plain: Batcher<JobInsert, InsertedJob>;
  private readonly keyed: Batcher<JobInsert, InsertedJob>;
  /** Those with an idempotency key alone: they wait for nobody but a repetition of themselves. */
  private readonly once: Batcher<JobInsert, InsertedJob>;
  private readonly batchers: readonly Batcher<JobInsert, InsertedJob>[];
  private readonly open = new Set<Promise<void>>();

  constructor(private readonly options: EnqueuerParts) {
    const run = (rows: readonly JobInsert[]): Promise<InsertedJob[]> => this.insert(rows);
    const concurrency = (): StatementConcurrency => options.store.capabilities.inserts;
    this.plain = new Batcher({ run, lengthOf: insertLength, concurrency });
    const keyOf = ({ topic, uniqueKey }: JobInsert): string => JSON.stringify([topic, uniqueKey]);
    this.keyed = new Batcher({ run, lengthOf: insertLength, keyOf });
    this.once = new Batcher({ run, lengthOf: insertLength, keyOf: (row) => row.idempotency!.key });
    this.batchers = [this.plain, this.keyed, this.once];
  }

  /** Whether nothing is on its way into the table, but for what waits for the commit of a caller's. */
  get isIdle(): boolean {
    return this.open.size === 0 && this.batchers.every(({ isIdle }) => isIdle);
  }

  /** Resolves when what was on its way has come there, or was refused. */
  async idle(): Promise<void> {
    await Promise.all(this.open);
    await Promise.all(this.batchers.map((batcher) => batcher.idle()));
  }

  async enqueueTx(tx: StoreTransaction, topic: TopicLike, payload: unknown, options?: EnqueueOptions): Promise<Job> {
    if (!tx) {
      // Without one the job would be stored outside the transaction that the caller means.
      throw new InvalidOptionsError(
        'manager',
        `expected the EntityManager of an open transaction, got ${describeValue(tx)}`,
      );
    }
    return (await this.storeIn(tx, [this.draftOf(topic, payload, readEnqueueOptions(options))]))[0]!;
  }

  /** @throws IdempotencyConflictError when the key of `once` has come with another body. */
  async enqueue(topic: TopicLike, payload: unknown, options?: EnqueueOptions, once?: Idempotency): Promise<Job> {
    const draft = this.draftOf(topic, payload, readEnqueueOptions(options), once);
    const { row } = draft;
    if (draft.schema) {
      await this.noted(judge(draft));
    }
    const inserted = await (row.uniqueKey !== null ? this.keyed : once ? this.once : this.plain).add(row);
    if (once && inserted.replayOf !== null && inserted.replayOf !== once.bodyHash) {
      throw new IdempotencyConflictError(once.key);
    }
    return (await this.stored([row], [inserted]))[0]!;
  }

  /** All or none. */
  enqueueMany(jobs: readonly AnyNewJob[], tx?: StoreTransaction): Promise<Job[]> {
    const stored = this.storeMany(jobs, tx);
    return tx ? stored : this.noted(stored);
  }

  private async storeMany(jobs: readonly AnyNewJob[], tx: StoreTransaction | undefined): Promise<Job[]> {
    if (!Array.isArray(jobs)) {
      throw new InvalidOptionsError('jobs', `expected a list of jobs, got ${describeValue(jobs)}`);
    }
    const drafts = Array.from(jobs as readonly AnyNewJob[], (job, index) => this.draftInList(job, index));
    if (drafts.length === 0) {
      return [];
    }
    if (tx) {
      return this.storeIn(tx, drafts);
    }
    await judgeAll(drafts);
    const rows = drafts.map(({ row }) => row);
    return this.stored(rows, await this.insert(rows));
  }

  /** What no batch knows of is under way as well. */
  private noted<T>(work: Promise<T>): Promise<T> {
    const ended = work.then(
      () => void this.open.delete(ended),
      () => void this.open.delete(ended),
    );
    this.open.add(ended);
    return work;
  }

  private draftInList(job: AnyNewJob, index: number): NewJobRow {
    const place = `jobs[${index}]`;
    if (typeof job !== 'object' || job === null || Array.isArray(job)) {
      throw new InvalidOptionsError(place, `expected an object, got ${describeValue(job)}`);
    }
    try {
      return this.draftOf(job.topic, job.payload, readNewJobOptions(job), undefined, place);
    } catch (error) {
      throw placedError(place, error);
    }
  }

  private draftOf(
    topicLike: TopicLike,
    payload: unknown,
    given: EnqueueSettings,
    once?: Idempotency,
    place?: string,
  ): NewJobRow {
    const topic = this.topicOf(topicLike);
    const typed = toTypedTopic(topicLike);
    const { payloadBytesMax, maxRetries, registry } = this.options;
    const row = new DraftedRow(topic, encodePayload(payload, payloadBytesMax), given, maxRetries, once ?? null);
    return new NewJobRow(row, typed ? typed.schema : registry.get(topic.topic)?.schema, place);
  }

  /** A topic's name, and what it says of its jobs itself, or else its handler, when that is here. */
  private topicOf(topicLike: TopicLike): DraftedTopic {
    const typed = toTypedTopic(topicLike);
    const topic = toTopicName(topicLike);
    const defaults = typed && readTopicOptions(topic, typed.options);
    const handler = this.options.registry.get(topic)?.settings;
    return {
      topic,
      maxRetries: defaults?.maxRetries ?? handler?.maxRetries,
      priority: defaults?.priority ?? handler?.priority,
    };
  }

  private async insert(rows: readonly JobInsert[]): Promise<InsertedJob[]> {
    const triesMax = this.areKept(rows) ? INSERT_TRIES_MAX : 1;
    let lost: QueueUnavailableError | undefined;
    for (let tries = 1; ; tries += 1) {
      try {
        return await this.options.store.insert(rows);
      } catch (error) {
        if (!(error instanceof QueueUnavailableError)) {
          throw error;
        }
        // That the last try has stored nothing says nothing of the one before.
        const all = lost && !error.isUncertain ? toUncertain(error) : error;
        if (all.isUncertain) {
          this.options.wakeSignal.maybeStored(rows);
        }
        if (!error.isUncertain || tries === triesMax) {
          throw all;
        }
        lost = error;
      }
    }
  }

  /** Whether these jobs are in the table for a while, whatever becomes of them. */
  private areKept(rows: readonly JobInsert[]): boolean {
    const ages = Object.values(this.options.retention);
    const isKept = ages.every((age) => age === false || age >= REPEATABLE_AGE_MS);
    return isKept || rows.every(({ idempotency }) => idempotency !== null);
  }

  private stored(rows: readonly JobInsert[], inserted: readonly InsertedJob[]): Promise<Job[]> {
    // First, since they are stored whether or not the holders of keys can be read.
    this.tell(rows, inserted);
    return this.jobsOf(rows, inserted);
  }

  private async storeIn(tx: StoreTransaction, drafts: readonly NewJobRow[]): Promise<Job[]> {
    const rows = drafts.map(({ row }) => row);
    let inserted: readonly InsertedJob[] = [];
    // First, since a caller may not await this: the end of its transaction waits for what is under way.
    const { store } = this.options;
    const part = store.joinTransaction(tx, (committed) => {
      if (committed && inserted.length > 0) {
        this.tell(rows, inserted);
        store.announce(new Set(rows.map(({ topic }) => topic)));
      }
    });
    try {
      if (drafts.some(({ schema }) => schema)) {
        await judgeAll(drafts);
      }
      inserted = await store.insert(rows, tx);
      return await this.jobsOf(rows, inserted, tx);
    } finally {
      part.settled();
    }
  }

  private tell(rows: readonly JobInsert[], inserted: readonly InsertedJob[]): void {
    inserted.forEach(({ id, runAt, deduplicated, replayOf }, index) => {
      // A repeated request is no second job: its first one was told.
      if (replayOf === null) {
        this.options.emit({ type: 'enqueued', id, topic: rows[index]!.topic, runAt, deduplicated });
      }
    });
    const fresh = rows.flatMap(({ topic, priority }, index) => {
      const answer = inserted[index]!;
      return isHeld(answer) ? [] : [{ topic, priority, runAt: answer.runAt }];
    });
    if (fresh.length > 0) {
      this.options.wakeSignal.stored(fresh);
    }
  }

  /** Jobs as they stand now: new ones are known already, holders of unique keys are read. */
  private async jobsOf(
    rows: readonly JobInsert[],
    inserted: readonly InsertedJob[],
    tx?: StoreTransaction,
  ): Promise<Job[]> {
    if (!inserted.some(isHeld)) {
      return rows.map((row, index) => freshJob(row, inserted[index]!));
    }
    const holderIds = [...new Set(inserted.filter(isHeld).map((job) => job.id))];
    const holders = await this.options.store.find(holderIds, tx);
    return rows.map((row, index) => {
      const answer = inserted[index]!;
      const holder = isHeld(answer) ? holders.find(({ id }) => id === answer.id) : undefined;
      // A holder that was deleted in this moment is told by what is known of it: its id.
      const job = holder ?? freshJob({ ...row, id: answer.id }, answer);
      return Object.assign(
        job,
        answer.deduplicated && { deduplicated: true },
        answer.replayOf !== null && { replayed: true },
      );
    });
  }
}

/** Whether another job stands for the one that was to be. */
function isHeld({ deduplicated, replayOf }: InsertedJob): boolean {
  return deduplicated || replayOf !== null;
}
