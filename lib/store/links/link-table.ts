/*
 * The links between jobs, for both databases. In: jobs with parents, and parents that end. Out: children that are released or cancelled.
 * Read link-store.ts first, then link-script.ts (what the end of a parent does), then this file (who calls it).
 */
import type { GraphLink, OnParentFailure, ParentJob } from '../../core/dependencies.js';
import type { Clock } from '../../core/clock.js';
import { endsWithin } from '../../core/clock.js';
import {
  InvalidOptionsError,
  QueueUnavailableError,
  RowLockedError,
  StatementCancelledError,
} from '../../core/errors.js';
import type { JobStatus } from '../../core/job-state.js';
import { toLocked, toUnchangedRow } from '../jobs/batch-results.js';
import type { StoreTransaction } from '../transactions/application-transactions.js';
import type {
  BlockedJob,
  EndedParent,
  LinkChanges,
  LinkedInsert,
  LinkedInsertResult,
  LinkInsert,
  LinkStore,
  ReleasedJob,
  RepairedPage,
  RequeuedDependants,
} from './link-store.js';
import type { RepairStatements } from './link-repair.js';
import { repairScript, toBroken } from './link-repair.js';
import type { CompleteWatchedScript, LinkStatements, RequeuedPage, RequeueStatements } from './link-script.js';
import {
  CLOSED_LINKS_MAX,
  endJobsScript,
  endParentsScript,
  endRestScript,
  finishGroupsScript,
  NO_CHANGES,
  requeueChildrenScript,
  settleWatchedScript,
  toEndedParent,
  toIds,
} from './link-script.js';
import { toActionResult } from '../jobs/row-mapper.js';
import { setTimeout } from '../runtime/real-timers.js';
import { SqlError } from '../runtime/sql-error.js';
import type { SqlQuery, SqlRow, SqlScript } from '../runtime/sql-runner.js';
import { singleStatement } from '../runtime/sql-runner.js';
import type {
  ActionRequest,
  ActionResult,
  InsertedJob,
  JobInsert,
  RequeueChanges,
  Settled,
  Settlement,
} from '../jobs/job-records.js';
import { SWEPT_ROWS } from '../jobs/job-records.js';

interface LinkTableStatements extends RepairStatements, RequeueStatements {
  /** `CLOSE_LINKS` in a transaction of the application. */
  readonly CLOSE_LINKS_IN_TX: string;
  readonly CLOSE_LINKS_OF_COMPLETED_IN_TX: string;
  readonly INSERT_LINKS: string;
  readonly LIST_PARENTS: string;
  readonly COUNT_OPEN_LINKS: string;
  readonly LINKS_OF: string;
  readonly LINKS_PAGE: string;
  readonly INSERT_GROUP: string;
  readonly RELEASE_KEYS_OF_FAMILY: string;
}

type ActionScript = SqlScript<ActionResult[]>;

/** An action that ends waiting jobs. */
export type EndingAction = 'cancel' | 'delete';

interface LinkTableOptions {
  readonly statements: LinkTableStatements;
  readonly read: SqlQuery;
  /** Runs a script in one transaction of the queue. */
  readonly transact: <T>(script: () => SqlScript<T>) => Promise<T>;
  /** The same for outcomes, which are the most frequent of these transactions. */
  readonly transactOutcomes: <T>(script: () => SqlScript<T>) => Promise<T>;
  readonly completeWatched: CompleteWatchedScript;
  /** Runs a script in a transaction of the application. */
  readonly runIn: <T>(tx: StoreTransaction, script: SqlScript<T>) => Promise<T>;
  /** Runs the first script, inserts the jobs, and runs the second one: in one transaction of the queue, or in the caller's. */
  readonly insertBetween: <T>(steps: InsertSteps<T>, tx?: StoreTransaction) => Promise<T>;
  /** Writes a time as the database stores it. */
  readonly timeText: (moment: Date) => string;
  /** Runs an action on watched jobs too. Results are in the order of `ids`. */
  readonly actScript: (action: EndingAction, ids: readonly string[], request: ActionRequest) => ActionScript;
  readonly requeueScript: (
    ids: readonly string[],
    changes: RequeueChanges | undefined,
    request: ActionRequest,
  ) => ActionScript;
}

export interface InsertSteps<T> {
  readonly before: () => SqlScript<void>;
  readonly jobs: readonly JobInsert[];
  readonly after: (inserted: readonly InsertedJob[]) => SqlScript<T>;
}

/** Comes before all ids. */
const FIRST_ID = '00000000-0000-0000-0000-000000000000';
/** Links that a page of the repair ends for each row that it reads: a smaller page, which follows one that took too long, ends fewer. */
const LINKS_PER_ROW = CLOSED_LINKS_MAX / SWEPT_ROWS;
/** Links in one statement. */
const INSERT_LINKS_MAX = 5_000;
/** Parents whose links one transaction ends after the one that ended them. */
const REST_PARENTS_MAX = 1_000;
/** How long to wait before links that were left are ended again, when the database does not respond. */
const RETRY_MS = 1_000;
/** How long a store that closes waits for links that were left. */
const CLOSE_MAX_MS = 5_000;
/** How often a transaction that re-queues children is tried. */
const REQUEUE_TRIES_MAX = 3;

export class LinkTable implements LinkStore {
  private listener: (changes: LinkChanges) => void = () => undefined;
  /** Ended jobs that may have open links. */
  private readonly rest: EndedParent[] = [];
  private finishing: Promise<void> | undefined;
  private isClosed = false;
  /** The statements for transactions of the application. */
  private readonly callerStatements: LinkStatements;

  constructor(private readonly options: LinkTableOptions) {
    const { statements } = options;
    const { CLOSE_LINKS_IN_TX: CLOSE_LINKS, CLOSE_LINKS_OF_COMPLETED_IN_TX: CLOSE_LINKS_OF_COMPLETED } = statements;
    this.callerStatements = { ...statements, CLOSE_LINKS, CLOSE_LINKS_OF_COMPLETED };
  }

  observe(listener: (changes: LinkChanges) => void): void {
    this.listener = listener;
  }

  report(changes: LinkChanges): void {
    const { released, cancelled, deadLetters = [], rest = [] } = changes;
    if (released.length + cancelled.length + deadLetters.length > 0) {
      this.listener(changes);
    }
    if (rest.length > 0 && !this.isClosed) {
      this.rest.push(...rest);
      this.finishing ??= this.finish().finally(() => (this.finishing = undefined));
    }
  }

  /**
   * Ends the links that large endings have left, one transaction after another. One that takes too long, or waits too long for a lock, is
   * tried again with an eighth of the parents and links. While the database does not respond, it waits. After any other error, and when the
   * store closes, the repair ends the links.
   */
  private async finish(): Promise<void> {
    const { statements, transact } = this.options;
    for (let size = CLOSED_LINKS_MAX; this.rest.length > 0 && !this.isClosed;) {
      const parents = this.rest.splice(0, Math.min(size, REST_PARENTS_MAX));
      const links = size;
      try {
        const { rest = [], ...changes } = await transact(() => endRestScript(statements, parents, links));
        this.rest.unshift(...rest);
        this.report(changes);
        size = Math.min(CLOSED_LINKS_MAX, size * 2);
      } catch (error) {
        const mayBeTooLarge = error instanceof StatementCancelledError || error instanceof RowLockedError;
        if (mayBeTooLarge && size > 1) {
          this.rest.unshift(...parents);
          size = Math.ceil(size / 8);
        } else if (!mayBeTooLarge && error instanceof QueueUnavailableError) {
          this.rest.unshift(...parents);
          await new Promise((resolve) => {
            setTimeout(resolve, RETRY_MS).unref();
          });
        }
      }
    }
  }

  /** Waits until the links that large endings have left are ended, for at most 5 s. */
  async close(clock: Clock): Promise<void> {
    if (this.finishing) {
      await endsWithin(clock, CLOSE_MAX_MS, this.finishing);
    }
    this.isClosed = true;
  }

  async insert(request: LinkedInsert, tx?: StoreTransaction): Promise<LinkedInsertResult> {
    const stored = new Set(request.jobs.map(({ id }) => id));
    const others = request.links.filter(({ parentId }) => !stored.has(parentId) && parentId !== request.group?.id);
    let parents: readonly SqlRow[] = [];
    const readParents = this.watchParentsScript.bind(this);
    const { statements } = this.options;
    const insertLinks = this.insertLinksScript.bind(this, tx ? this.callerStatements : statements);
    const result = await this.options.insertBetween(
      {
        *before() {
          parents = yield* readParents(others);
          // After the parents, as a settlement locks them.
          yield* openGroupScript(statements, request.group);
        },
        jobs: request.jobs,
        *after(inserted) {
          const changes = yield* insertLinks(request, inserted, parents);
          return { inserted: [...inserted], changes };
        },
      },
      tx,
    );
    if (!tx) {
      this.report(result.changes);
    }
    return result;
  }

  /**
   * Records what the ordinary statements have left out, in one transaction. Returns the results in the order of `settlements`; not a
   * promise when nothing was left out, so that no claim that follows is reported first.
   *
   * @param plain from {@link selectPlain}.
   * @param settled the results of `plain`.
   */
  settleRest<S extends Settlement>(
    settlements: readonly S[],
    plain: readonly S[],
    settled: Settled[],
  ): Settled[] | Promise<Settled[]> {
    if (plain === settlements && !settled.some(isFoundWatched)) {
      return settled;
    }
    const results = new Map<S, Settled>(plain.map((each, index) => [each, settled[index]!]));
    const watched = settlements.filter((each) => {
      const result = results.get(each);
      return result === undefined || isFoundWatched(result);
    });
    return this.settleWatched(watched).then((rest) => {
      watched.forEach((each, index) => results.set(each, rest[index]!));
      return settlements.map((each) => results.get(each)!);
    });
  }

  /** Ends the links of a job that a transaction of the application has completed. The caller reports the changes after the commit. */
  completeIn(tx: StoreTransaction, id: string): Promise<LinkChanges> {
    return this.options.runIn(tx, this.completeInScript(id));
  }

  /** The statements of `completeIn`. */
  completeInScript(id: string): SqlScript<LinkChanges> {
    return endParentsScript(this.callerStatements, [{ id, status: 'completed' }]);
  }

  /** Runs a script that ends jobs, and ends their links and inserts their dead letters in the same transaction. Returns the rows of the script. */
  async endBy(endScript: () => SqlScript<readonly SqlRow[]>): Promise<readonly SqlRow[]> {
    const { statements } = this.options;
    const { rows, changes } = await this.endTogether(this.options.transact, function* (linksMax) {
      const ended = yield* endScript();
      return { rows: ended, changes: yield* endJobsScript(statements, ended, linksMax) };
    });
    this.report(changes);
    return rows;
  }

  /** Ends jobs and their links in one transaction. When a statement takes too long, ends the jobs first, and the links in others. */
  private async endTogether<T>(
    transact: LinkTableOptions['transact'],
    script: (linksMax?: number) => SqlScript<T>,
  ): Promise<T> {
    try {
      return await transact(() => script());
    } catch (error) {
      if (!(error instanceof StatementCancelledError)) {
        throw error;
      }
      return transact(() => script(0));
    }
  }

  /** Acts on the watched jobs that an ordinary statement has left out. Returns all results. */
  async act(
    action: EndingAction,
    results: readonly ActionResult[],
    request: ActionRequest = {},
  ): Promise<ActionResult[]> {
    const left = results.filter(({ changed, isWatched }) => !changed && isWatched).map(({ id }) => id);
    if (left.length === 0) {
      return [...results];
    }
    const late = new Map((await this.actTogether(action, left, request)).map((result) => [result.id, result]));
    return results.map((result) => late.get(result.id) ?? result);
  }

  async parents(childId: string): Promise<ParentJob[]> {
    const rows = await this.options.read(this.options.statements.LIST_PARENTS, [childId]);
    return rows.map(toParentJob);
  }

  async linksOf(ids: readonly string[], limit: number): Promise<GraphLink[]> {
    const rows = await this.options.read(this.options.statements.LINKS_OF, [JSON.stringify(ids), limit]);
    return rows.map((row) => ({
      parentId: row.parent_id as string,
      childId: row.child_id as string,
      onParentFailure: row.mode as OnParentFailure,
      isOpen: row.outcome === null,
    }));
  }

  async blocked(ids: readonly string[]): Promise<BlockedJob[]> {
    const rows = await this.options.read(this.options.statements.COUNT_OPEN_LINKS, [JSON.stringify(ids)]);
    return rows.map(({ id, open }) => ({ id: id as string, waitingOn: Number(open) }));
  }

  async requeueDependants(
    root: string,
    changes?: RequeueChanges,
    request: ActionRequest = {},
  ): Promise<RequeuedDependants> {
    const { statements, requeueScript } = this.options;
    const entry = request.entry ?? null;
    let first: { readonly result: ActionResult; readonly page: RequeuedPage };
    try {
      first = await this.transactWithKeys([root], function* (levels) {
        const [result] = yield* requeueScript([root], changes, request);
        // An earlier call may have been interrupted between its transactions: it has re-queued the job and not all dependants.
        const { changed, status } = result!;
        const parents = changed || status === 'pending' || status === 'processing' ? [root] : [];
        return { result: result!, page: yield* requeueChildrenScript(statements, parents, entry, levels) };
      });
    } catch (error) {
      if (error instanceof SqlError || error instanceof RowLockedError) {
        return { result: toActionResult(toUnchangedRow(root, error)), dependants: [] };
      }
      throw error;
    }
    const dependants: ReleasedJob[] = [];
    for (let { page } = first; ;) {
      this.report(page.changes);
      dependants.push(...page.dependants);
      const { parents } = page;
      if (parents.length === 0) {
        return { result: first.result, dependants };
      }
      page = await this.transactWithKeys(parents, (levels) =>
        requeueChildrenScript(statements, parents, entry, levels),
      );
    }
  }

  /**
   * Runs a script that re-queues children of `parents`, level by level. When a unique index refuses one of them, frees the keys whose
   * `uniqueFor` is over, and tries again with one level.
   *
   * @throws RowLockedError when another job keeps taking the key.
   */
  private async transactWithKeys<T>(
    parents: readonly string[],
    script: (levels: number | undefined) => SqlScript<T>,
  ): Promise<T> {
    const { statements, transact } = this.options;
    for (let tries = 1; ; tries += 1) {
      try {
        return await transact(() => script(tries === 1 ? undefined : 1));
      } catch (error) {
        if (!(error instanceof SqlError && error.kind === 'unique')) {
          throw error;
        }
        if (tries === REQUEUE_TRIES_MAX) {
          throw new RowLockedError('another job took the unique key of a job that depends on this one; try again', {
            cause: error,
          });
        }
        await transact(() => singleStatement(statements.RELEASE_KEYS_OF_FAMILY, [JSON.stringify(parents)]));
      }
    }
  }

  async repair(after: string | null, limit = SWEPT_ROWS): Promise<RepairedPage> {
    const { statements } = this.options;
    const [child, parent] = after?.split(' ') ?? [FIRST_ID, FIRST_ID];
    const rows = await this.options.read(statements.LINKS_PAGE, [child, parent, limit]);
    const last = rows.at(-1);
    const next = rows.length < limit ? null : `${last!.child_id as string} ${last!.parent_id as string}`;
    const found = toBroken(rows);
    if (Object.values(found).every((members: readonly unknown[]) => members.length === 0)) {
      return { changes: NO_CHANGES, removed: 0, next };
    }
    const changes = await this.options.transact(() => repairScript(statements, found, LINKS_PER_ROW * limit));
    this.report(changes);
    await this.finishing;
    const changed = changes.released.length + changes.cancelled.length;
    return { changes, removed: found.orphans.length + found.parents.length + changed, next };
  }

  async deleteOf(ids: readonly string[]): Promise<void> {
    await this.options.transact(() => singleStatement(this.options.statements.DELETE_LINKS, [JSON.stringify(ids)]));
  }

  private *watchParentsScript(links: readonly LinkInsert[]): SqlScript<readonly SqlRow[]> {
    if (links.length === 0) {
      return [];
    }
    const ids = toIds(links.map(({ parentId }) => parentId));
    const rows = yield { sql: this.options.statements.WATCH_PARENTS, params: [JSON.stringify(ids)] };
    const found = new Set(rows.map(({ id }) => id));
    const unknown = links.find(({ parentId }) => !found.has(parentId));
    if (unknown) {
      throw new InvalidOptionsError(unknown.path, `job ${unknown.parentId} does not exist`);
    }
    return rows;
  }

  private *insertLinksScript(
    ending: LinkStatements,
    { jobs, links, startTimes, group }: LinkedInsert,
    inserted: readonly InsertedJob[],
    parents: readonly SqlRow[],
  ): SqlScript<LinkChanges> {
    const { statements, timeText } = this.options;
    const storedIds = new Map(jobs.map(({ id }, index) => [id, inserted[index]!.id]));
    const delays = new Map(jobs.map(({ id, delayMs }) => [id, delayMs]));
    // A job that an existing one replaced, because of its unique key, waits for nothing.
    const isNew = ({ childId }: LinkInsert): boolean => (storedIds.get(childId) ?? childId) === childId;
    const kept = links
      .filter(isNew)
      .map((link) => ({ ...link, parentId: storedIds.get(link.parentId) ?? link.parentId }));
    const known = new Set([...delays.keys(), ...parents.map(({ id }) => id), group?.id]);
    const replaced = kept.filter(({ parentId }) => !known.has(parentId));
    const others = yield* this.watchParentsScript(replaced);
    for (let start = 0; start < kept.length; start += INSERT_LINKS_MAX) {
      const members = kept.slice(start, start + INSERT_LINKS_MAX).map(({ parentId, childId, mode, ref, position }) => {
        const startTime = startTimes.get(childId);
        return {
          parent_id: parentId,
          child_id: childId,
          mode,
          ref,
          position,
          run_at: startTime ? timeText(startTime) : null,
          delay_ms: delays.get(childId) ?? 0,
        };
      });
      yield { sql: statements.INSERT_LINKS, params: [JSON.stringify(members)] };
    }
    const isEmpty = group?.isNew === true && !links.some(({ mode }) => mode === 'member');
    const finished: EndedParent[] = isEmpty ? yield* finishGroupsScript(ending, [group.id]) : [];
    return yield* endParentsScript(ending, [...[...parents, ...others].flatMap(toEndedParent), ...finished]);
  }

  /**
   * When a row is locked, settles the others, and leaves the outcome to a later call.
   *
   * @param complete `null` after a row was locked: the cheap statement would wait for it again.
   */
  private async settleWatched(
    settlements: readonly Settlement[],
    complete: CompleteWatchedScript | null = this.options.completeWatched,
  ): Promise<Settled[]> {
    try {
      const { statements } = this.options;
      const { settled, changes } = await this.endTogether(this.options.transactOutcomes, (linksMax) =>
        settleWatchedScript(statements, settlements, complete, linksMax),
      );
      this.report(changes);
      return settled;
    } catch (error) {
      if (!(error instanceof RowLockedError)) {
        throw error;
      }
    }
    if (complete) {
      return this.settleWatched(settlements, null);
    }
    if (settlements.length === 1) {
      return [toLocked(settlements[0]!.token)];
    }
    const middle = Math.ceil(settlements.length / 2);
    const first = await this.settleWatched(settlements.slice(0, middle), null);
    return [...first, ...(await this.settleWatched(settlements.slice(middle), null))];
  }

  /** Acts on all jobs in one transaction, or one by one when the database refuses one of them. */
  private async actTogether(
    action: EndingAction,
    ids: readonly string[],
    request: ActionRequest,
  ): Promise<ActionResult[]> {
    const { statements, actScript, transact } = this.options;
    try {
      const { results, changes } = await this.endTogether(transact, function* (linksMax) {
        const results = yield* actScript(action, ids, request);
        const ended = results
          .filter(({ changed }) => changed)
          .flatMap(({ id, status }): EndedParent[] =>
            // A completed job may have links that a later transaction was to end.
            action === 'delete' && status !== 'completed' ? [{ id, status: 'deleted' }] : toEndedParent({ id, status }),
          );
        return { results, changes: yield* endParentsScript(statements, ended, linksMax) };
      });
      this.report(changes);
      return results;
    } catch (error) {
      if (!(error instanceof SqlError || error instanceof RowLockedError)) {
        throw error;
      }
      if (ids.length === 1) {
        return [toActionResult(toUnchangedRow(ids[0]!, error))];
      }
    }
    const results: ActionResult[] = [];
    for (const id of ids) {
      results.push(...(await this.actTogether(action, [id], request)));
    }
    return results;
  }
}

/** Inserts a new group, or locks the one that gets more members. */
function* openGroupScript(statements: LinkTableStatements, group: LinkedInsert['group']): SqlScript<void> {
  if (group?.isNew) {
    yield { sql: statements.INSERT_GROUP, params: [group.id, group.name, group.createdBy] };
  } else if (group) {
    const [row] = yield { sql: statements.LOCK_GROUPS, params: [JSON.stringify([group.id])] };
    if (row?.finished !== null) {
      throw new InvalidOptionsError('id', `group ${group.id} ${row ? 'has finished' : 'does not exist'}`);
    }
  }
}

/** Returns the outcomes for the ordinary statements: those of jobs that were not watched when they were claimed, and whose starts count. */
export function selectPlain<S extends Settlement>(settlements: readonly S[]): readonly S[] {
  return settlements.some(needsTransaction) ? settlements.filter((each) => !needsTransaction(each)) : settlements;
}

function needsTransaction({ token, counted, isUncalled }: Settlement): boolean {
  return token.isWatched === true || (counted !== undefined && isUncalled === true);
}

/** Whether the ordinary statement has left the outcome out, because the job is watched. */
function isFoundWatched({ isWatched, status }: Settled): boolean {
  return isWatched === true && status === 'processing';
}

function toParentJob(row: SqlRow): ParentJob {
  return {
    id: row.id as string,
    ref: row.ref as string | null,
    topic: row.topic as string | null,
    status: (row.status ?? 'deleted') as JobStatus | 'deleted',
    result: row.result === null ? null : (JSON.parse(row.result as string) as unknown),
    lastError: row.last_error as string | null,
  };
}
