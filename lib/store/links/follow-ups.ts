import type { Clock } from '../../core/clock.js';
import { endsWithin } from '../../core/clock.js';
import {
  DatabaseRefusedError,
  isOutage,
  JobsError,
  QueueUnavailableError,
  RowLockedError,
  StatementCancelledError,
} from '../../core/errors.js';
import { FIRST_ID } from '../jobs/job-row.js';
import { nextTurn, setTimeout } from '../runtime/real-timers.js';
import { SqlError } from '../runtime/sql-error.js';
import type { SqlQuery } from '../runtime/sql-runner.js';
import type { BatchScript } from './batch-script.js';
import type { Cursor, FollowedUp, FollowUp, FollowUpStatements } from './follow-up-script.js';
import { followUpScript, readFollowUp } from './follow-up-script.js';
import type { LinkChanges } from './link-store.js';
import { OwedSearch } from './owed-search.js';

export interface FollowUpsOptions {
  readonly statements: FollowUpStatements;
  readonly read: SqlQuery;
  /** Runs a script in a transaction that need not reach the disk before later ones: it may be repeated. */
  readonly transact: <T>(script: () => BatchScript<T>) => Promise<T>;
  /** How many links a transaction changes at most. */
  readonly linksMax: number;
  /** Receives what each transaction has changed, after its commit. */
  readonly report: (changes: LinkChanges) => void;
}

/** Jobs that one transaction follows up. */
const JOBS_MAX = 500;
/** How long jobs have owed a follow-up that a poll finds: before that, the process that ended them is at work. */
const OWED_MS = 1_000;
/** The jobs of a transaction that failed are tried again in batches of an eighth, down to one. */
const SPLIT_INTO = 8;
/** How often, and after what pause, a job is tried again that another transaction holds. Then the poll finds it. */
const LOCKED_TRIES_MAX = 40;
const LOCKED_PAUSE_MS = 25;
/** Transactions for which a call waits: a cancellation answers before its hundred thousand descendants are cancelled. */
const CALL_TRANSACTIONS_MAX = 4;
/** How long a store that closes waits for follow-ups. */
const CLOSE_MAX_MS = 5_000;

interface Entry extends Cursor {
  readonly tries: number;
  /** With how many others, at most, one transaction follows it up. */
  readonly batchMax: number;
  /** The call that waits for it. */
  readonly call: Call | undefined;
}

/** Follows up jobs that have ended, one transaction after another. What it cannot do keeps its mark, and a poll finds it. */
export class FollowUps {
  private queue: Entry[] = [];
  private running: Promise<void> | undefined;
  private pauses = 0;
  private isClosed = false;
  private readonly calls = new Set<Call>();
  private size: number;
  private waiters: (() => void)[] = [];
  private readonly search: OwedSearch;
  /** The jobs that the last poll has found. */
  private page: Call | undefined;
  private failure: Failure | undefined;

  constructor(private readonly options: FollowUpsOptions) {
    this.size = options.linksMax;
    this.search = new OwedSearch(options.statements.FIND_OWED, options.read);
  }

  /** Whether no follow-up is under way. */
  get isIdle(): boolean {
    return this.running === undefined && this.pauses === 0;
  }

  /** Resolves when no follow-up is under way. */
  idle(): Promise<void> {
    return this.isIdle ? Promise.resolve() : new Promise((resolve) => this.waiters.push(resolve));
  }

  /** Follows up jobs that have ended, in the background. */
  follow(ids: readonly string[]): void {
    if (ids.length > 0 && !this.isClosed) {
      this.queue.push(...ids.map(toEntry));
      this.start();
    }
  }

  /**
   * Follows up jobs before all others. Resolves when that is done, or goes on in the background; with why the database has refused to
   * delete jobs.
   */
  followFirst(ids: readonly string[]): Promise<ReadonlyMap<string, Error>> {
    return this.wait(new Call(ids.length, true), ids);
  }

  /**
   * Follows up jobs whose process has left them, after all others. Returns how many it has found; none while those of the last poll are
   * under way.
   */
  async followOwed(olderMs = OWED_MS): Promise<number> {
    if (this.page?.isOver === false) {
      return 0;
    }
    const found = await this.search.nextPage(olderMs);
    const waiting = new Set(this.queue.map(({ id }) => id));
    const ids = found.filter((id) => !waiting.has(id));
    this.page = new Call(ids.length, false);
    await this.wait(this.page, ids);
    return found.length;
  }

  /** Returns why follow-ups have failed since the last call, if any has. */
  takeFailure(): Error | undefined {
    const { failure } = this;
    this.failure = undefined;
    return failure && toError(failure);
  }

  async close(clock: Clock): Promise<void> {
    await endsWithin(clock, CLOSE_MAX_MS, this.idle());
    this.isClosed = true;
  }

  private wait(call: Call, ids: readonly string[]): Promise<ReadonlyMap<string, Error>> {
    if (ids.length === 0 || this.isClosed) {
      return Promise.resolve(call.refused);
    }
    this.calls.add(call);
    this.enqueue(ids.map((id) => ({ ...toEntry(id), call })));
    this.start();
    return call.done.finally(() => this.calls.delete(call));
  }

  /** What a call of the application waits for goes first. */
  private enqueue(entries: readonly Entry[]): void {
    this.queue.unshift(...entries.filter(({ call }) => call?.isUrgent));
    this.queue.push(...entries.filter(({ call }) => !call?.isUrgent));
  }

  private start(): void {
    this.running ??= this.run().finally(() => {
      this.running = undefined;
      if (this.queue.length > 0) {
        this.start();
      } else if (this.isIdle) {
        this.waiters.splice(0).forEach((resolve) => resolve());
      }
    });
  }

  private async run(): Promise<void> {
    for (let isFirst = true; this.queue.length > 0; isFirst = false) {
      if (this.isClosed) {
        this.end(this.queue.splice(0));
        return;
      }
      if (!isFirst) {
        // Between two transactions other work of the process runs.
        await nextTurn();
      }
      const entries = this.takeFirst(Math.min(this.size, JOBS_MAX));
      try {
        await this.followTogether(entries);
        this.size = Math.min(this.options.linksMax, this.size * 2);
      } catch (error) {
        this.onError(entries, error as Error);
      }
      this.calls.forEach((call) => call.onTransaction());
    }
  }

  /** Takes entries of different jobs: one may be in the queue twice. */
  private takeFirst(max: number): readonly Entry[] {
    const taken = new Map<string, Entry>();
    const left: Entry[] = [];
    const queue = this.queue;
    let index = 0;
    for (let room = max; index < queue.length; index += 1) {
      const entry = queue[index]!;
      room = Math.min(room, entry.batchMax);
      if (taken.size >= room) {
        break;
      }
      if (taken.has(entry.id)) {
        left.push(entry);
      } else {
        taken.set(entry.id, entry);
      }
    }
    this.queue = [...left, ...queue.slice(index)];
    return [...taken.values()];
  }

  private async followTogether(entries: readonly Entry[]): Promise<void> {
    const { statements, read, transact } = this.options;
    const plan = await readFollowUp(
      statements,
      read,
      entries.map(({ id, after, version }) => ({ id, after, version })),
      this.size,
    );
    const large = plan.partial.filter((id) => isFirstOfDeletion(plan, entries, id));
    await this.tryDeletion(large);
    const result = hasWork(plan) ? await transact(() => followUpScript(statements, plan)) : undefined;
    const byId = new Map(entries.map((entry) => [entry.id, entry]));
    const unlocked = new Set([...(result?.locked ?? []), ...(result?.again ?? [])]);
    const later = [...unlocked].map((id) => byId.get(id)!);
    const rest = plan.rest
      .filter(({ id }) => !unlocked.has(id))
      .map((cursor) => ({ ...byId.get(cursor.id)!, ...cursor }));
    const kept = new Set([...unlocked, ...rest.map(({ id }) => id)]);
    this.queue.push(...rest);
    if (result) {
      this.onFollowedUp(result, entries[0]?.call);
    }
    this.end(entries.filter(({ id }) => !kept.has(id)));
    this.tryLater(later);
  }

  private onFollowedUp({ released, cancelled, deadLetters, owed }: FollowedUp, call: Call | undefined): void {
    call?.extend(owed.length);
    this.queue.push(...owed.map((id) => ({ ...toEntry(id), call })));
    this.options.report({ released, cancelled, deadLetters });
  }

  /** Tries jobs again that another transaction holds. */
  private tryLater(entries: readonly Entry[]): void {
    const again = entries.filter(({ tries }) => tries < LOCKED_TRIES_MAX);
    const left = entries.filter(({ tries }) => tries >= LOCKED_TRIES_MAX);
    if (left.length > 0) {
      this.search.recordFailure();
      this.end(left);
    }
    if (again.length > 0) {
      this.pauses += 1;
      setTimeout(() => {
        this.pauses -= 1;
        this.queue.push(...again.map((entry) => ({ ...entry, tries: entry.tries + 1 })));
        this.start();
      }, LOCKED_PAUSE_MS);
    }
  }

  /** After a statement that took too long, or waited for a lock, the next transaction has an eighth of the links. */
  private onError(entries: readonly Entry[], error: Error): void {
    const mayBeTooLarge = error instanceof StatementCancelledError || error instanceof RowLockedError;
    if (mayBeTooLarge && this.size > 1) {
      this.size = Math.ceil(this.size / 8);
      this.queue.unshift(...entries);
    } else if (error instanceof RowLockedError) {
      this.tryLater(entries);
    } else if (isOutage(error)) {
      // The loops of the process log it. When it is over, the poll finds the jobs.
      this.end(entries);
    } else if (entries.length > 1) {
      const batchMax = Math.ceil(entries.length / SPLIT_INTO);
      this.enqueue(entries.map((entry) => ({ ...entry, batchMax })));
    } else if (error instanceof SqlError) {
      this.keepMarked(entries[0]!, error);
    } else {
      this.fail(entries[0]!, error);
    }
  }

  /** The job keeps its mark, and the poll tries it again. */
  private fail(entry: Entry, error: Error): void {
    this.search.recordFailure();
    this.record(entry, error);
    this.end([entry]);
  }

  private record({ id }: Entry, error: Error): void {
    this.failure = { id, error, count: (this.failure?.count ?? 0) + 1 };
  }

  /** A deletion that takes several transactions begins only if the database would allow it: otherwise no child is cancelled. */
  private async tryDeletion(ids: readonly string[]): Promise<void> {
    const { statements, transact } = this.options;
    if (ids.length > 0) {
      const undone = new QueueUnavailableError('the deletion was only tried');
      await transact(function* () {
        yield [{ sql: statements.DELETE_MARKED, params: [JSON.stringify(ids)] }];
        throw undone;
      }).catch((error: unknown) => {
        if (error !== undone) {
          throw error;
        }
      });
    }
  }

  /** If the database refuses to delete the row, because of a foreign key of the application, the job stays as it was. */
  private keepMarked(entry: Entry, error: SqlError): void {
    const { statements, transact } = this.options;
    const params = [JSON.stringify([entry.id])];
    const keep = [statements.MARK_HOLDERS_OF_KEPT, statements.KEEP_MARKED].map((sql) => ({ sql, params }));
    this.pauses += 1;
    void transact(function* () {
      const [, kept] = yield keep;
      return kept!.length > 0;
    })
      .then(
        (isKept) => {
          if (!isKept) {
            this.fail(entry, error);
            return;
          }
          if (!entry.call?.refuse(entry.id, error)) {
            this.record(entry, error);
          }
          this.end([entry]);
        },
        (cause: Error) => this.fail(entry, cause),
      )
      .finally(() => {
        this.pauses -= 1;
        this.start();
      });
  }

  private end(entries: readonly Entry[]): void {
    entries.forEach(({ call }) => call?.end());
  }
}

function toEntry(id: string): Entry {
  return { id, after: FIRST_ID, tries: 0, batchMax: JOBS_MAX, call: undefined };
}

/** Whether a job is about to be deleted that has more links than one transaction changes, and none of them was changed yet. */
function isFirstOfDeletion({ outcomes, versions }: FollowUp, entries: readonly Entry[], job: string): boolean {
  const isFirst = entries.some(({ id, version }) => id === job && version !== versions.get(job));
  return isFirst && outcomes.some(({ parentId }) => parentId === job);
}

function hasWork({ complete, partial, tokens, cancelled, failingGroups, outcomes }: FollowUp): boolean {
  const isPartial = partial.length > 0 && tokens.length + cancelled.size + failingGroups.length + outcomes.length > 0;
  return complete.length > 0 || isPartial;
}

/** Follow-ups that have failed. */
interface Failure {
  readonly count: number;
  /** The last one of them. */
  readonly id: string;
  readonly error: Error;
}

/** The error for the log. An error in the code of the queue keeps its stack. */
function toError({ count, id, error }: Failure): Error {
  const others = count === 1 ? '' : ` (and ${count - 1} more)`;
  return error instanceof JobsError
    ? new DatabaseRefusedError(`job ${id}${others}: ${error.message}`, { cause: error })
    : error;
}

/** A call that waits for follow-ups. */
class Call {
  private transactions = 0;
  private hasReturned = false;
  readonly refused = new Map<string, Error>();
  readonly done: Promise<ReadonlyMap<string, Error>>;
  private resolve!: (refused: ReadonlyMap<string, Error>) => void;

  /** @param isUrgent whether its jobs go before others. */
  constructor(
    private count: number,
    readonly isUrgent: boolean,
  ) {
    this.done = new Promise((resolve) => (this.resolve = resolve));
  }

  /** Whether all of its jobs have been followed up, or left. */
  get isOver(): boolean {
    return this.count <= 0;
  }

  extend(count: number): void {
    this.count += count;
  }

  onTransaction(): void {
    this.transactions += 1;
    if (this.transactions === CALL_TRANSACTIONS_MAX) {
      this.return();
    }
  }

  end(): void {
    this.count -= 1;
    if (this.count === 0) {
      this.return();
    }
  }

  /** Tells the caller that the database has refused to delete a job. Returns `false` if the caller waits no more, or did not ask. */
  refuse(id: string, error: Error): boolean {
    this.refused.set(id, error);
    return this.isUrgent && !this.hasReturned;
  }

  private return(): void {
    this.hasReturned = true;
    this.resolve(this.refused);
  }
}
