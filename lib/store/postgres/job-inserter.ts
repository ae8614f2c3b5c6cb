import { QueueUnavailableError } from '../../core/errors.js';
import { compareUniqueKeys } from '../../core/unique-key.js';
import type { InsertedJob, JobInsert, StoreTransaction } from '../job-store.js';
import { insertionOf } from '../row-mapper.js';
import { INSERT_ROUNDS_MAX, neverStored, noteInserted } from '../batch-results.js';
import { insertJson, piecesOf } from '../batch-json.js';
import type { SqlRow } from '../sql-runner.js';
import { SqlError } from '../sql-error.js';
import type { Notifier } from './notifier.js';
import { arrayText } from './array-text.js';
import {
  FIND_HOLDERS,
  INSERT_ALIKE_JOBS,
  INSERT_JOBS,
  INSERT_PLAIN_JOB,
  INSERT_PLAIN_JOBS,
  KEEP_KEYS,
  LET_KEYS_GO,
  MARK_KEYS,
  RELEASE_KEYS,
} from './sql/insert.js';

type Query = (text: string, params: readonly unknown[], tx?: StoreTransaction) => Promise<readonly SqlRow[]>;

/** Stores new jobs. Answers in their order. */
export class JobInserter {
  constructor(
    private readonly query: Query,
    private readonly announcer: Notifier,
    private readonly transaction: <T>(work: (tx: StoreTransaction) => Promise<T>) => Promise<T>,
  ) {}

  /**
   * Stores and announces at most as many as one statement can carry: with one commit, unless something was announced a moment
   * ago.
   */
  async insert(jobs: readonly JobInsert[]): Promise<InsertedJob[]> {
    const arePlain = jobs.every(({ uniqueKey, idempotency }) => uniqueKey === null && idempotency === null);
    const carried = this.announcer.hintFor(topicsOf(jobs), arePlain);
    const hint = carried?.hint ?? null;
    const plain = arePlain ? await this.storePlain(jobs, hint) : undefined;
    if (plain) {
      carried?.wasSent();
    }
    const isRare = !plain && arePlain && jobs.length > 1;
    // Of a set that takes several statements all is stored, or nothing.
    const withCare = (): Promise<InsertedJob[]> =>
      isRare ? this.transaction((tx) => this.insertAlone(tx, jobs)) : this.storeWithCare(jobs, hint);
    const inserted = plain ?? (await withCare());
    if (!carried || isRare) {
      this.announcer.announce(topicsOf(jobs.filter(({ id }, index) => inserted[index]!.id === id)));
    }
    return inserted;
  }

  /** Stores any number in a transaction: there is nothing to announce before its end. */
  insertIn(tx: StoreTransaction, jobs: readonly JobInsert[]): Promise<InsertedJob[]> {
    return this.storePieces(jobs, (piece) => this.storeWithCare(piece, null, tx));
  }

  /** The same in a transaction of the queue's own: in another there may be statements beside these, which must not be undone. */
  insertAlone(tx: StoreTransaction, jobs: readonly JobInsert[]): Promise<InsertedJob[]> {
    return this.storePieces(jobs, (piece) =>
      piece.some(({ uniqueKey }) => uniqueKey !== null)
        ? this.storeKeys(tx, piece)
        : this.storeWithCare(piece, null, tx),
    );
  }

  /** In order over all statements, or two callers with the same keys would wait for each other in a circle. */
  private async storePieces(
    jobs: readonly JobInsert[],
    store: (piece: readonly JobInsert[]) => Promise<InsertedJob[]>,
  ): Promise<InsertedJob[]> {
    const inserted = new Map<JobInsert, InsertedJob>();
    for (const piece of piecesOf([...jobs].sort(compareUniqueKeys))) {
      const stored = await store(piece);
      piece.forEach((job, index) => inserted.set(job, stored[index]!));
    }
    return jobs.map((job) => inserted.get(job)!);
  }

  /**
   * Jobs without keys, the quick way. Nothing when one of them is there already, from a try whose answer was lost, or was left
   * out, by a trigger for example.
   */
  private async storePlain(jobs: readonly JobInsert[], hint: string | null): Promise<InsertedJob[] | undefined> {
    try {
      const [text, [id, ...values]] = plainInsertOf(jobs);
      const [answer] = await this.write(hint, (sent) => this.query(text, [id, sent, ...values]));
      return Number(answer?.count) === jobs.length ? insertionOf(answer!, jobs) : undefined;
    } catch (error) {
      if (error instanceof SqlError && (error.kind === 'unique' || isDivisionByZero(error))) {
        return undefined;
      }
      throw error;
    }
  }

  private async storeWithCare(
    jobs: readonly JobInsert[],
    hint: string | null,
    tx?: StoreTransaction,
  ): Promise<InsertedJob[]> {
    const inserted = new Map<string, InsertedJob>();
    for (let round = 1, open = jobs; open.length > 0; round += 1) {
      if (round > INSERT_ROUNDS_MAX) {
        throw neverStored(open[0]!);
      }
      open = await this.storeOnce(open, inserted, hint, tx);
      await this.releaseOld(open, tx);
    }
    return jobs.map((job) => inserted.get(job.id)!);
  }

  /**
   * Several unique keys in one transaction, which are taken in one order. When one of them has changed hands and is to be asked
   * for again, all are let go first: whoever has it now may wait for one of the others.
   */
  private async storeKeys(tx: StoreTransaction, jobs: readonly JobInsert[]): Promise<InsertedJob[]> {
    await this.query(MARK_KEYS, [], tx);
    for (let round = 1; ; round += 1) {
      const inserted = new Map<string, InsertedJob>();
      const [open] = await this.storeOnce(jobs, inserted, null, tx);
      if (open === undefined) {
        await this.query(KEEP_KEYS, [], tx);
        return jobs.map((job) => inserted.get(job.id)!);
      }
      await this.query(LET_KEYS_GO, [], tx);
      if (round === INSERT_ROUNDS_MAX) {
        throw neverStored(open);
      }
      await this.releaseOld(jobs, tx);
    }
  }

  /** Idempotency keys that are no longer kept stand in the way, and for no job. */
  private async releaseOld(jobs: readonly JobInsert[], tx?: StoreTransaction): Promise<void> {
    if (jobs.some(({ idempotency }) => idempotency !== null)) {
      await this.query(RELEASE_KEYS, [textOf(jobs)], tx);
    }
  }

  /** Notes what is stored now, and whose keys others hold; answers those of which neither is known. */
  private async storeOnce(
    jobs: readonly JobInsert[],
    inserted: Map<string, InsertedJob>,
    hint: string | null,
    tx?: StoreTransaction,
  ): Promise<readonly JobInsert[]> {
    const text = textOf(jobs);
    const [answer] = await this.write(hint, (sent) => this.query(INSERT_JOBS, [text, sent], tx));
    insertionOf(answer!, jobs).forEach((job) => inserted.set(job.id, job));
    const open = jobs.filter(({ id }) => !inserted.has(id));
    return open.length === 0 ? open : noteInserted(inserted, open, await this.query(FIND_HOLDERS, [textOf(open)], tx));
  }

  /** Hints are not worth a job: when the server takes no more notifications, others find the jobs by looking. */
  private async write(
    hint: string | null,
    send: (hint: string | null) => Promise<readonly SqlRow[]>,
  ): Promise<readonly SqlRow[]> {
    try {
      return await send(hint);
    } catch (error) {
      if (hint !== null && error instanceof QueueUnavailableError && error.isUncertain) {
        this.announcer.codec.heedSent();
      }
      if (hint === null || !isLimitExceeded(error)) {
        throw error;
      }
      return send(null);
    }
  }
}

/** What a set says of which a row was left out. */
function isDivisionByZero({ driverCode }: SqlError): boolean {
  return driverCode === '22012';
}

/** `program_limit_exceeded`: of an insert most likely "too many notifications in the NOTIFY queue". Nothing was stored. */
function isLimitExceeded(error: unknown): boolean {
  return error instanceof SqlError && error.driverCode === '54000';
}

export function topicsOf(jobs: readonly JobInsert[]): Set<string> {
  return new Set(jobs.map(({ topic }) => topic));
}

function textOf(jobs: readonly JobInsert[]): string {
  return insertJson(jobs, (moment) => moment.toISOString());
}

/** The quickest statement for these jobs, and its parameters but the hint, the id first. */
function plainInsertOf(jobs: readonly JobInsert[]): [text: string, values: unknown[]] {
  const [first] = jobs;
  if (jobs.length === 1) {
    return [INSERT_PLAIN_JOB, [first!.id, first!.topic, first!.payload, ...settingsOf(first!)]];
  }
  const ids = arrayText(jobs.map(({ id }) => id));
  const payloads = `[${jobs.map(({ payload }) => payload).join(',')}]`;
  return jobs.every((job) => areAlike(job, first!))
    ? [INSERT_ALIKE_JOBS, [ids, first!.topic, payloads, ...settingsOf(first!)]]
    : [INSERT_PLAIN_JOBS, [ids, jobs.map(({ topic }) => topic), payloads, ...settingsOfMany(jobs)]];
}

/** Whether these differ in nothing but what each job has of its own. */
function areAlike(one: JobInsert, other: JobInsert): boolean {
  return (
    one.topic === other.topic &&
    one.runAt?.getTime() === other.runAt?.getTime() &&
    one.delayMs === other.delayMs &&
    one.maxRetries === other.maxRetries &&
    one.priority === other.priority &&
    one.timeoutMs === other.timeoutMs &&
    // By identity: two that say the same are stored as well, a little later.
    one.backoff === other.backoff &&
    one.metadata === other.metadata
  );
}

function settingsOf({ runAt, delayMs, maxRetries, priority, timeoutMs, backoff, metadata }: JobInsert): unknown[] {
  return [runAt?.toISOString(), delayMs, maxRetries, priority, timeoutMs, backoff && JSON.stringify(backoff), metadata];
}

/** A column each. One that no job has a value for is NULL. */
function settingsOfMany(jobs: readonly JobInsert[]): unknown[] {
  const columnOf = <T>(value: (job: JobInsert) => T | null): readonly (T | null)[] | null =>
    jobs.some((job) => value(job) !== null) ? jobs.map(value) : null;
  return [
    columnOf(({ runAt }) => runAt?.toISOString() ?? null),
    arrayText(jobs.map(({ delayMs }) => delayMs)),
    arrayText(jobs.map(({ maxRetries }) => maxRetries)),
    arrayText(jobs.map(({ priority }) => priority)),
    columnOf(({ timeoutMs }) => timeoutMs),
    columnOf(({ backoff }) => backoff && JSON.stringify(backoff)),
    columnOf(({ metadata }) => metadata),
  ];
}
