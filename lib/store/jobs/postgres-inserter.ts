import { QueueUnavailableError } from '../../core/errors.js';
import { compareUniqueKeys } from '../../core/unique-key.js';
import { toInsertJson, splitIntoPieces } from './batch-json.js';
import { INSERT_PASSES_MAX, toNeverStoredError, recordInserted } from './batch-results.js';
import { INSERT_MEMBERS } from './columns.js';
import type { InsertedJob, JobInsert } from './job-records.js';
import type { StoreTransaction } from '../transactions/application-transactions.js';
import { toDebouncedJob, toInsertedJobs } from './row-mapper.js';
import { SqlError } from '../runtime/sql-error.js';
import type { SqlRow } from '../runtime/sql-runner.js';
import { IS_HERE } from '../migrate/schema.postgres.js';
import { assertQueueIsHere, isJobsTransaction } from '../transactions/adapted-transactions.js';
import { isDebounced, matchByKey, reduceSet } from './unique-sets.js';
import { toArrayText } from '../postgres/array-parameters.js';
import type { Notifier, PiggybackNotification } from '../postgres/notifier.js';
import {
  FIND_HOLDERS,
  INSERT_ALIKE_JOBS,
  INSERT_JOBS,
  INSERT_PLAIN_JOB,
  INSERT_PLAIN_JOBS,
  PLAIN_SETTINGS,
  RELEASE_KEYS,
} from './insert.postgres.js';
import { INSERT_DEBOUNCED_JOBS, LOCK_WAITING_HOLDERS, RELEASE_UNIQUE_KEYS } from './unique.postgres.js';

interface JobInserterParts {
  readonly query: (text: string, params: readonly unknown[], tx?: StoreTransaction) => Promise<readonly SqlRow[]>;
  /** Runs work in a transaction on the queue's own connections. */
  readonly transaction: <T>(work: (tx: StoreTransaction) => Promise<T>) => Promise<T>;
  readonly notifier: Notifier;
  /** The queue's id, for statements in an adapted transaction; `null` for any other. */
  readonly queueId: (tx: StoreTransaction) => string | null;
}

/**
 * Inserts new jobs and notifies other processes. Returns the results in the order of the jobs.
 *
 * There are three ways:
 * - Plain jobs, without keys and expiry, take one fast statement that fails on any conflict.
 * - A job with a key, and a plain job after a conflict, take a statement that leaves out jobs whose keys are taken, and a query for
 *   the holders of these keys. A debounced job takes one that replaces the payload of the holder.
 * - Several jobs that need more than one statement take a transaction, so that all are inserted or none.
 */
export class JobInserter {
  constructor(private readonly parts: JobInserterParts) {}

  /** Inserts jobs that do not need a transaction, see {@link needsTransaction}. */
  async insert(jobs: readonly JobInsert[], isOwn = false): Promise<InsertedJob[]> {
    if (jobs.length === 0) {
      return [];
    }
    const isFast = arePlain(jobs);
    const piggyback = this.takePiggyback(jobs, isFast, isOwn);
    const payload = piggyback?.payload ?? null;
    const plain = isFast ? await this.insertPlain(jobs, payload) : undefined;
    if (plain) {
      piggyback?.markSent();
    } else if (isFast && jobs.length > 1) {
      return this.insertInOwnTransaction(jobs, isOwn);
    }
    const inserted = plain ?? (await this.insertWithConflicts(jobs, payload));
    this.announceUnless(isOwn || piggyback !== undefined, jobs, inserted);
    return inserted;
  }

  /**
   * Inserts any number of jobs in the caller's transaction. The engine announces them after the commit. With an adapter, whose ORM may not
   * report the commit, the notification travels with the insert, for this process too.
   */
  insertIn(tx: StoreTransaction, jobs: readonly JobInsert[]): Promise<InsertedJob[]> {
    const { codec } = this.parts.notifier;
    const payload = isJobsTransaction(tx) ? codec.encodeAnonymous(collectTopics(jobs)) : null;
    return insertPieces(jobs, (piece) => this.insertWithConflicts(piece, payload, tx));
  }

  /**
   * Inserts any number of jobs, all or none. When a key has changed hands between the insert and the query for its holder, starts
   * over in a new transaction: the rollback frees our keys, for which the new holder may wait. `insertIn` cannot do this: the
   * caller's other statements would be lost.
   */
  async insertInOwnTransaction(jobs: readonly JobInsert[], isOwn: boolean): Promise<InsertedJob[]> {
    for (let pass = 1; ; pass += 1) {
      let hasConflict = false;
      const insertPiece = async (tx: StoreTransaction, piece: readonly JobInsert[]): Promise<InsertedJob[]> => {
        if (pass > 1) {
          await this.releaseExpiredKeys(piece, tx);
        }
        const inserted = new Map<string, InsertedJob>();
        const [open] = await this.insertOnce(piece, inserted, null, tx);
        hasConflict = open !== undefined;
        if (open) {
          throw toNeverStoredError(open);
        }
        return piece.map(({ id }) => inserted.get(id)!);
      };
      try {
        const inserted = await this.parts.transaction((tx) => insertPieces(jobs, (piece) => insertPiece(tx, piece)));
        this.announceUnless(isOwn, jobs, inserted);
        return inserted;
      } catch (error) {
        if (!(hasConflict || isKeyTaken(error)) || pass === INSERT_PASSES_MAX) {
          throw error;
        }
      }
    }
  }

  /** Inserts jobs without keys. Returns `undefined` when a row exists already (its earlier reply was lost), or a trigger left one out. */
  private async insertPlain(jobs: readonly JobInsert[], payload: string | null): Promise<InsertedJob[] | undefined> {
    try {
      const { text, id, values } = toPlainInsert(jobs);
      const [result] = await this.queryWithPayload(payload, (sent) => this.parts.query(text, [id, sent, ...values]));
      return Number(result?.count) === jobs.length ? toInsertedJobs(result!, jobs) : undefined;
    } catch (error) {
      if (error instanceof SqlError && (error.kind === 'unique' || isDivisionByZero(error))) {
        return undefined;
      }
      throw error;
    }
  }

  private async insertWithConflicts(
    jobs: readonly JobInsert[],
    payload: string | null,
    tx?: StoreTransaction,
  ): Promise<InsertedJob[]> {
    const inserted = new Map<string, InsertedJob>();
    for (let pass = 1, open = jobs; open.length > 0; pass += 1) {
      if (pass > INSERT_PASSES_MAX) {
        throw toNeverStoredError(open[0]!);
      }
      if (pass > 1) {
        await this.releaseExpiredKeys(open, tx);
      }
      open = await this.insertOnce(open, inserted, payload, tx);
    }
    return jobs.map((job) => inserted.get(job.id)!);
  }

  /** Records inserted jobs and the holders of taken keys in `inserted`. Returns the jobs that have neither. */
  private async insertOnce(
    jobs: readonly JobInsert[],
    inserted: Map<string, InsertedJob>,
    payload: string | null,
    tx?: StoreTransaction,
  ): Promise<readonly JobInsert[]> {
    const { query } = this.parts;
    const text = toJson(jobs);
    if (isDebounced(jobs[0]!)) {
      await this.insertDebounced(jobs, text, inserted, payload, tx);
    } else {
      const params = (sent: string | null): unknown[] => [text, sent, this.queueId(tx)];
      const [result] = await this.queryWithPayload(payload, (sent) => query(INSERT_JOBS, params(sent), tx));
      toInsertedJobs(result!, jobs).forEach((job) => inserted.set(job.id, job));
    }
    const open = jobs.filter(({ id }) => !inserted.has(id));
    if (tx && open.length > 0) {
      await this.assertHere(tx);
    }
    if (tx && open.some(({ uniqueMode }) => uniqueMode?.untilStarted)) {
      await query(LOCK_WAITING_HOLDERS, [toJson(open)], tx);
    }
    return open.length === 0 ? open : recordInserted(inserted, open, await query(FIND_HOLDERS, [toJson(open)], tx));
  }

  private queueId(tx: StoreTransaction | undefined): string | null {
    return tx ? this.parts.queueId(tx) : null;
  }

  /** @throws UnknownDataSourceError for a transaction of another database: its queue has another id, so that nothing was inserted. */
  private async assertHere(tx: StoreTransaction): Promise<void> {
    const id = this.queueId(tx);
    if (id !== null) {
      assertQueueIsHere(tx, await this.parts.query(IS_HERE, [id], tx));
    }
  }

  /** All jobs are debounced, each with a key of its own. */
  private async insertDebounced(
    jobs: readonly JobInsert[],
    text: string,
    inserted: Map<string, InsertedJob>,
    payload: string | null,
    tx?: StoreTransaction,
  ): Promise<void> {
    const insert = (sent: string | null): Promise<readonly SqlRow[]> =>
      this.parts.query(INSERT_DEBOUNCED_JOBS, [text, sent, this.queueId(tx)], tx);
    try {
      const rows = await this.queryWithPayload(payload, insert);
      matchByKey(jobs, rows).forEach((row, job) => inserted.set(job.id, toDebouncedJob(job, row)));
    } catch (error) {
      // A repeated insert met its first try, or a repeated request the first one, in the moment of their commit.
      if (tx || !isKeyTaken(error)) {
        throw error;
      }
    }
  }

  private async releaseExpiredKeys(jobs: readonly JobInsert[], tx?: StoreTransaction): Promise<void> {
    if (jobs.some(({ uniqueKey }) => uniqueKey !== null)) {
      await this.parts.query(RELEASE_UNIQUE_KEYS, [toJson(jobs)], tx);
    }
    if (jobs.some(({ idempotency }) => idempotency !== null)) {
      await this.parts.query(RELEASE_KEYS, [toJson(jobs)], tx);
    }
  }

  /** When the server's queue of notifications is full, repeats the insert without one: polling finds the jobs. */
  private async queryWithPayload(
    payload: string | null,
    query: (payload: string | null) => Promise<readonly SqlRow[]>,
  ): Promise<readonly SqlRow[]> {
    try {
      return await query(payload);
    } catch (error) {
      if (payload !== null && error instanceof QueueUnavailableError && error.isUncertain) {
        this.parts.notifier.codec.resetOrigin();
      }
      if (payload === null || !isLimitExceeded(error)) {
        throw error;
      }
      return query(null);
    }
  }

  private takePiggyback(
    jobs: readonly JobInsert[],
    isUnconditional: boolean,
    isOwn: boolean,
  ): PiggybackNotification | undefined {
    return isOwn ? undefined : this.parts.notifier.takePiggyback(collectTopics(jobs), isUnconditional);
  }

  /** @param isAnnounced the insert has sent a notification, or none is needed. */
  private announceUnless(isAnnounced: boolean, jobs: readonly JobInsert[], inserted: readonly InsertedJob[]): void {
    if (isAnnounced) {
      return;
    }
    const isWaiting = (job: JobInsert, { id, replaced }: InsertedJob): boolean => id === job.id || replaced;
    this.parts.notifier.announce(collectTopics(jobs.filter((job, index) => isWaiting(job, inserted[index]!))));
  }
}

const OTHER_MEMBERS = INSERT_MEMBERS.filter(({ isPlain }) => !isPlain);

/** Whether only plain columns of the jobs have a value: no key of any kind, no expiry, and no job waits for them. */
function arePlain(jobs: readonly JobInsert[]): boolean {
  return OTHER_MEMBERS.every(({ value }) => jobs.every((job) => (value(job) ?? null) === null));
}

/** Returns whether jobs need several statements or several unique keys. An insert may wait for one key while it holds others. */
export function needsTransaction(jobs: readonly JobInsert[]): boolean {
  return (jobs.length > 1 && jobs.some(({ uniqueKey }) => uniqueKey !== null)) || splitIntoPieces(jobs).length > 1;
}

/** Inserts piece by piece in the order of the keys, or two callers with the same keys would deadlock. */
async function insertPieces(
  jobs: readonly JobInsert[],
  insert: (piece: readonly JobInsert[]) => Promise<InsertedJob[]>,
): Promise<InsertedJob[]> {
  const { groups, expand } = reduceSet(jobs);
  const inserted = new Map<string, InsertedJob>();
  for (const piece of groups.flatMap((group) => splitIntoPieces([...group].sort(compareUniqueKeys)))) {
    const results = await insert(piece);
    piece.forEach(({ id }, index) => inserted.set(id, results[index]!));
  }
  return expand(inserted);
}

/** The insert met a row with its id, or with its idempotency key. */
function isKeyTaken(error: unknown): boolean {
  return error instanceof SqlError && error.kind === 'unique';
}

/** `division_by_zero`: the statement found that a row was left out. */
function isDivisionByZero({ driverCode }: SqlError): boolean {
  return driverCode === '22012';
}

/** `program_limit_exceeded`: for an insert, most likely "too many notifications in the NOTIFY queue". Nothing was inserted. */
function isLimitExceeded(error: unknown): boolean {
  return error instanceof SqlError && error.driverCode === '54000';
}

function collectTopics(jobs: readonly JobInsert[]): Set<string> {
  return new Set(jobs.map(({ topic }) => topic));
}

function toJson(jobs: readonly JobInsert[]): string {
  return toInsertJson(jobs, (time) => time.toISOString());
}

/** A plain insert: its fastest statement, and the parameters before and after the payload of the notification. */
interface PlainInsert {
  readonly text: string;
  readonly id: string;
  readonly values: readonly unknown[];
}

function toPlainInsert(jobs: readonly JobInsert[]): PlainInsert {
  const first = jobs[0]!;
  if (jobs.length === 1) {
    return { text: INSERT_PLAIN_JOB, id: first.id, values: [first.topic, first.payload, ...toSettings(first)] };
  }
  const id = toArrayText(jobs.map((job) => job.id));
  const payloads = `[${jobs.map(({ payload }) => payload).join(',')}]`;
  return areAlike(jobs)
    ? { text: INSERT_ALIKE_JOBS, id, values: [first.topic, payloads, ...toSettings(first)] }
    : { text: INSERT_PLAIN_JOBS, id, values: [jobs.map(({ topic }) => topic), payloads, ...toSettingColumns(jobs)] };
}

/** Whether jobs differ in ids and payloads only. Compares objects by identity: jobs with equal ones take the slower statement. */
function areAlike(jobs: readonly JobInsert[]): boolean {
  const first = jobs[0]!;
  return (
    jobs.every(({ topic }) => topic === first.topic) &&
    PLAIN_SETTINGS.every(({ value }) => {
      const expected = value(first);
      return jobs.every((job) => isSame(value(job), expected));
    })
  );
}

function isSame(one: unknown, other: unknown): boolean {
  return one === other || (one instanceof Date && other instanceof Date && one.getTime() === other.getTime());
}

function toSettings(job: JobInsert): unknown[] {
  return PLAIN_SETTINGS.map(({ value }) => toParameter(value(job)));
}

/** One array for each setting; NULL for one that no job has. */
function toSettingColumns(jobs: readonly JobInsert[]): unknown[] {
  return PLAIN_SETTINGS.map(({ value }) => {
    const column = jobs.map((job) => toParameter(value(job)));
    if (column.every((each) => each === null)) {
      return null;
    }
    return column.every((each) => typeof each === 'number') ? toArrayText(column) : column;
  });
}

function toParameter(value: unknown): string | number | null {
  if (value instanceof Date) {
    return value.toISOString();
  }
  return typeof value === 'object' && value !== null
    ? JSON.stringify(value)
    : ((value ?? null) as string | number | null);
}
