/*
 * The links between jobs, for both databases. In: jobs with parents. Out: their links, and what waits for what.
 * Read link-store.ts first, then this file (inserts), requeue-script.ts (dependants that wait again), follow-up-script.ts (what the end of
 * a parent does) and follow-ups.ts (who calls it).
 */
import type { GraphLink, OnParentFailure, ParentJob } from '../../core/dependencies.js';
import type { Clock } from '../../core/clock.js';
import { InvalidOptionsError, RowLockedError } from '../../core/errors.js';
import type { JobStatus } from '../../core/job-state.js';
import { isFinal } from '../../core/job-state.js';
import { FIRST_ID, WATCHED } from '../jobs/job-row.js';
import { toUnchangedRow } from '../jobs/batch-results.js';
import type { StoreTransaction } from '../transactions/application-transactions.js';
import type { BatchScript } from './batch-script.js';
import { oneByOne } from './batch-script.js';
import type { FollowUpStatements } from './follow-up-script.js';
import { cancelsChild, endGroupsScript, followUpScript, toParentError } from './follow-up-script.js';
import { FollowUps } from './follow-ups.js';
import type {
  BlockedJob,
  LinkChanges,
  LinkedInsert,
  LinkedInsertResult,
  LinkInsert,
  LinkStore,
  ParentEnd,
  ReleasedJob,
  RepairedPage,
  RequeuedDependants,
} from './link-store.js';
import type { RepairStatements } from './link-repair.js';
import { planRepair } from './link-repair.js';
import type { RequeuedPage, RequeueStatements } from './requeue-script.js';
import { requeueChildrenScript } from './requeue-script.js';
import { toActionResult } from '../jobs/row-mapper.js';
import { pause } from '../runtime/real-timers.js';
import { SqlError } from '../runtime/sql-error.js';
import type { SqlQuery, SqlRow, SqlScript } from '../runtime/sql-runner.js';
import { singleStatement } from '../runtime/sql-runner.js';
import type { ActionRequest, ActionResult, InsertedJob, JobInsert, RequeueChanges } from '../jobs/job-records.js';
import { SWEPT_ROWS } from '../jobs/job-records.js';

interface LinkTableStatements extends FollowUpStatements, RepairStatements, RequeueStatements {
  readonly WATCH_PARENTS: string;
  readonly LOCK_GROUPS: string;
  readonly TAKE_TOKEN: string;
  readonly FIND_MEMBER: string;
  readonly INSERT_LINKS: string;
  readonly LIST_PARENTS: string;
  readonly COUNT_OPEN_LINKS: string;
  readonly LINKS_OF: string;
  readonly LINKS_PAGE: string;
  readonly INSERT_GROUP: string;
  readonly RELEASE_KEYS_OF_FAMILY: string;
}

interface LinkTableOptions {
  readonly statements: LinkTableStatements;
  readonly read: SqlQuery;
  /** Runs a script in one transaction of the queue. */
  readonly transact: <T>(script: () => SqlScript<T>) => Promise<T>;
  /** Runs a follow-up in a transaction that need not reach the disk before later ones. */
  readonly transactFollowUp: <T>(script: () => BatchScript<T>) => Promise<T>;
  /** How many links a follow-up changes in one transaction. */
  readonly followedMax: number;
  /** Runs the first script, inserts the jobs, and runs the second one: in one transaction of the queue, or in the caller's. */
  readonly insertBetween: <T>(steps: InsertSteps<T>, tx?: StoreTransaction) => Promise<T>;
  /** Writes a time as the database stores it. */
  readonly timeText: (moment: Date) => string;
  /** Results are in the order of `ids`. */
  readonly requeueScript: (
    ids: readonly string[],
    changes: RequeueChanges | undefined,
    request: ActionRequest,
  ) => SqlScript<ActionResult[]>;
}

export interface InsertSteps<T> {
  readonly before: () => SqlScript<void>;
  readonly jobs: readonly JobInsert[];
  readonly after: (inserted: readonly InsertedJob[]) => SqlScript<T>;
}

export const NO_CHANGES: LinkChanges = { released: [], cancelled: [] };
/** Links in one statement. */
const INSERT_LINKS_MAX = 5_000;
/** How often a transaction that re-queues children is tried. */
const REQUEUE_TRIES_MAX = 3;
/** How often a re-queue waits for the follow-ups of cancelled dependants, and how long each time. */
const OWING_PAUSES_MAX = 200;
const OWING_PAUSE_MS = 50;
/** Why a job cannot be changed whose end concerns more jobs than a call waits for. */
const STILL_ENDING = 'the jobs that depend on this one are being ended; try again';
/** Links that a page of the repair changes. */
const REPAIRED_MAX = 500;

export class LinkTable implements LinkStore {
  private listener: (changes: LinkChanges) => void = () => undefined;
  private readonly followUps: FollowUps;

  constructor(private readonly options: LinkTableOptions) {
    this.followUps = new FollowUps({
      statements: options.statements,
      read: options.read,
      transact: options.transactFollowUp,
      linksMax: options.followedMax,
      report: (changes) => this.report(changes),
    });
  }

  observe(listener: (changes: LinkChanges) => void): void {
    this.listener = listener;
  }

  report({ owed = [], ...changes }: LinkChanges): void {
    const { released, cancelled, deadLetters = [] } = changes;
    if (released.length + cancelled.length + deadLetters.length > 0) {
      this.listener(changes);
    }
    this.followUps.follow(owed);
  }

  /** Follows up jobs that have ended, in the background. */
  follow(ids: readonly string[]): void {
    this.followUps.follow(ids);
  }

  get isIdle(): boolean {
    return this.followUps.isIdle;
  }

  idle(): Promise<void> {
    return this.followUps.idle();
  }

  followOwed(olderMs?: number): Promise<number> {
    return this.followUps.followOwed(olderMs);
  }

  takeFailure(): Error | undefined {
    return this.followUps.takeFailure();
  }

  close(clock: Clock): Promise<void> {
    return this.followUps.close(clock);
  }

  /** Runs an action, and follows up what it has ended. Jobs that owe a follow-up are followed up first, then the action is repeated. */
  async act(
    ids: readonly string[],
    run: (ids: readonly string[]) => Promise<ActionResult[]>,
    isRepeated = false,
  ): Promise<ActionResult[]> {
    const results = await run(ids);
    const owing = results.filter(({ owes }) => owes);
    if (owing.length === 0) {
      return results;
    }
    const late = owing.filter(({ changed }) => !changed).map(({ id }) => id);
    const refused = new Map<string, Error>(isRepeated ? late.map((id) => [id, new RowLockedError(STILL_ENDING)]) : []);
    const followed = await this.followUps.followFirst(owing.map(({ id }) => id).filter((id) => !refused.has(id)));
    followed.forEach((error, id) => refused.set(id, error));
    const repeated = isRepeated || late.length === 0 ? [] : await this.act(late, run, true);
    const again = new Map(repeated.map((result) => [result.id, result]));
    return results.map((result) => {
      const reason = refused.get(result.id);
      return again.get(result.id) ?? (reason ? toActionResult(toUnchangedRow(result.id, reason)) : result);
    });
  }

  async insert(request: LinkedInsert, tx?: StoreTransaction): Promise<LinkedInsertResult> {
    const stored = new Set(request.jobs.map(({ id }) => id));
    const others = request.links.filter(({ parentId }) => !stored.has(parentId) && parentId !== request.group?.id);
    let parents: readonly SqlRow[] = [];
    const readParents = this.watchParentsScript.bind(this);
    const { statements } = this.options;
    const insertLinks = this.insertLinksScript.bind(this);
    const result = await this.options.insertBetween(
      {
        *before() {
          parents = yield* readParents(others);
          // After the parents, as a follow-up locks them.
          yield* openGroupScript(statements, request);
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
      isOpen: Boolean(row.is_open),
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
    const requeue = (): Promise<{ readonly result: ActionResult; readonly page: RequeuedPage }> =>
      this.transactWithKeys([root], function* (levels) {
        const [result] = yield* requeueScript([root], changes, request);
        // An earlier call may have been interrupted between its transactions: it has re-queued the job and not all dependants.
        const { changed, status } = result!;
        const parents =
          changed || status === 'pending' || status === 'processing' ? [{ id: root, after: FIRST_ID }] : [];
        return { result: result!, page: yield* requeueChildrenScript(statements, parents, entry, levels) };
      });
    let first: Awaited<ReturnType<typeof requeue>>;
    try {
      first = await requeue();
      if (first.result.owes) {
        await this.followUps.followFirst([root]);
        first = await requeue();
        if (first.result.owes && !first.result.changed) {
          throw new RowLockedError(STILL_ENDING);
        }
      }
    } catch (error) {
      if (error instanceof SqlError || error instanceof RowLockedError) {
        return { result: toActionResult(toUnchangedRow(root, error)), dependants: [] };
      }
      throw error;
    }
    const dependants: ReleasedJob[] = [];
    const followUp = this.followUpOwing();
    for (let { page } = first; ;) {
      this.report({ ...NO_CHANGES, owed: page.owed });
      dependants.push(...page.dependants);
      const { rest, owing } = page;
      if (rest.length === 0) {
        return { result: first.result, dependants };
      }
      await followUp(owing);
      page = await this.transactWithKeys(
        rest.map(({ id }) => id),
        (levels) => requeueChildrenScript(statements, rest, entry, levels),
      );
    }
  }

  /**
   * Returns a function that follows up cancelled dependants. Those that still owe it at the next call are in the hands of another
   * process, or have many dependants of their own: it pauses.
   */
  private followUpOwing(): (owing: readonly string[]) => Promise<void> {
    const known = new Set<string>();
    let pauses = 0;
    return async (owing) => {
      const unknown = owing.filter((id) => !known.has(id));
      unknown.forEach((id) => void known.add(id));
      await this.followUps.followFirst(unknown);
      if (owing.length === unknown.length) {
        return;
      }
      pauses += 1;
      if (pauses > OWING_PAUSES_MAX) {
        throw new RowLockedError(STILL_ENDING);
      }
      await pause(OWING_PAUSE_MS);
    };
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
    const { statements, read, transact, transactFollowUp } = this.options;
    const [child, parent] = after?.split(' ') ?? [FIRST_ID, FIRST_ID];
    const rows = await read(statements.LINKS_PAGE, [child, parent, limit]);
    const last = rows.at(-1);
    const next = rows.length < limit ? null : `${last!.child_id as string} ${last!.parent_id as string}`;
    const { orphans, plan } = await planRepair(statements, read, rows, REPAIRED_MAX);
    if (orphans.length > 0) {
      await transact(() => singleStatement(statements.DELETE_LINKS, [JSON.stringify(orphans)]));
    }
    if (plan === null) {
      return { changes: NO_CHANGES, removed: orphans.length, next };
    }
    const { released, cancelled, owed } = await transactFollowUp(() => followUpScript(statements, plan));
    const changes = { released, cancelled };
    this.report(changes);
    await this.followUps.followFirst(owed);
    return { changes, removed: orphans.length + plan.absent.length + released.length + cancelled.length, next };
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
    { jobs, links, startTimes, group }: LinkedInsert,
    inserted: readonly InsertedJob[],
    parents: readonly SqlRow[],
  ): SqlScript<LinkChanges> {
    const { statements, timeText } = this.options;
    const storedIds = new Map(jobs.map(({ id }, index) => [id, inserted[index]!.id]));
    const rows = new Map(jobs.map((job) => [job.id, job]));
    // A job that an existing one replaced, because of its unique key, waits for nothing.
    const isNew = ({ childId }: LinkInsert): boolean => (storedIds.get(childId) ?? childId) === childId;
    const kept = links
      .filter(isNew)
      .map((link) => ({ ...link, parentId: storedIds.get(link.parentId) ?? link.parentId }));
    const known = new Set([...rows.keys(), ...parents.map(({ id }) => id), group?.id]);
    const replaced = kept.filter(({ parentId }) => !known.has(parentId));
    const others = yield* this.watchParentsScript(replaced);
    const ends = new Map([...parents, ...others].map((row) => [row.id as string, toEnd(row)]));
    const waits = chooseHolders(kept, ends, group?.id);
    const unmarked = [...waits.holders.values()].filter(
      (id) => rows.has(id) && rows.get(id)!.watched !== WATCHED.always,
    );
    if (unmarked.length > 0) {
      yield { sql: statements.WATCH_PARENTS, params: [JSON.stringify(toIds(unmarked))] };
    }
    if (group && !group.isNew && waits.holders.has(group.id)) {
      yield { sql: statements.TAKE_TOKEN, params: [group.id, waits.holders.get(group.id)] };
    }
    for (let start = 0; start < kept.length; start += INSERT_LINKS_MAX) {
      const members = kept.slice(start, start + INSERT_LINKS_MAX).map(({ parentId, childId, mode, ref, position }) => {
        const startTime = startTimes.get(childId);
        return {
          parent_id: parentId,
          child_id: childId,
          mode,
          ref,
          position,
          holds: waits.holders.get(childId) === parentId,
          run_at: startTime ? timeText(startTime) : null,
          delay_ms: rows.get(childId)?.delayMs ?? 0,
        };
      });
      yield { sql: statements.INSERT_LINKS, params: [JSON.stringify(members)] };
    }
    return yield* this.endWaitsScript(kept, waits, ends, group);
  }

  /** Starts or cancels jobs whose parents have ended, and finishes a group without unfinished members. */
  private *endWaitsScript(
    links: readonly LinkInsert[],
    { started, cancelled, holders }: Waits,
    ends: ReadonlyMap<string, ParentEnd | null>,
    group: LinkedInsert['group'],
  ): SqlScript<LinkChanges> {
    const { statements } = this.options;
    const start = started.length === 0 ? [] : yield { sql: statements.START, params: [JSON.stringify(toIds(started))] };
    const stop =
      cancelled.length === 0 ? [] : yield { sql: statements.CANCEL_WAITING, params: [JSON.stringify(cancelled)] };
    const groupEnds = new Map<string, ParentEnd>();
    if (group) {
      const members = links.filter(({ mode }) => mode === 'member').map(({ parentId }) => ends.get(parentId) ?? null);
      const isFailing = members.includes('failed');
      if (group.isNew && !holders.has(group.id)) {
        yield { sql: statements.FINISH_NEW_GROUP, params: [JSON.stringify([group.id])] };
        const isComplete = members.every((end) => end === 'completed');
        groupEnds.set(group.id, isFailing ? 'failed' : isComplete ? 'completed' : 'cancelled');
      } else if (
        isFailing &&
        (yield { sql: statements.MARK_FAILING, params: [JSON.stringify([group.id])] }).length > 0
      ) {
        groupEnds.set(group.id, 'failing');
      }
    }
    const callbacks = yield* oneByOne(endGroupsScript(statements, groupEnds));
    const owed = stop.filter(({ watched }) => watched !== null).map(({ id }) => id as string);
    return {
      released: [...start.map(toReleasedJob), ...callbacks.released],
      cancelled: [
        ...stop.map((row) => ({ ...toReleasedJob(row), attempt: Number(row.attempt) })),
        ...callbacks.cancelled,
      ],
      owed: [...owed, ...callbacks.owed],
    };
  }
}

/** What the new links come to. */
interface Waits {
  /** The parent that holds the token of each child and of the group. */
  readonly holders: ReadonlyMap<string, string>;
  /** Children that wait for nothing, since all of their parents have ended. */
  readonly started: readonly string[];
  readonly cancelled: readonly { readonly id: string; readonly error: string }[];
}

/**
 * Gives the token of each child to its open parent with the highest id, which usually ends last: a job of the call, if there is one.
 *
 * @param ends how the stored parents have ended; `null`: they have not. Those of the call are not in it.
 */
function chooseHolders(
  links: readonly LinkInsert[],
  ends: ReadonlyMap<string, ParentEnd | null>,
  groupId: string | undefined,
): Waits {
  const byChild = new Map<string, LinkInsert[]>();
  for (const link of links.filter(({ parentId }) => parentId !== groupId)) {
    byChild.set(link.childId, [...(byChild.get(link.childId) ?? []), link]);
  }
  const holders = new Map<string, string>();
  const started: string[] = [];
  const cancelled: { id: string; error: string }[] = [];
  for (const [child, ofChild] of byChild) {
    const endOf = ({ parentId }: LinkInsert): ParentEnd | null => ends.get(parentId) ?? null;
    const bad = ofChild.find((link) => endOf(link) !== null && cancelsChild(link.mode, endOf(link)!));
    // A failed parent of a child that waits for its re-queue is open, too.
    const isOpen = (link: LinkInsert): boolean =>
      endOf(link) === null || (link.mode === 'wait' && endOf(link) !== 'completed');
    const holder = ofChild
      .filter(isOpen)
      .sort((a, b) => Number(endOf(b) === null) - Number(endOf(a) === null) || (a.parentId < b.parentId ? 1 : -1))[0];
    if (bad) {
      cancelled.push({ id: child, error: toParentError(bad.parentId) });
    } else if (holder) {
      holders.set(child, holder.parentId);
    } else if (child !== groupId) {
      started.push(child);
    }
  }
  return { holders, started, cancelled };
}

function toEnd({ status, watched }: SqlRow): ParentEnd | null {
  return watched === WATCHED.deleted ? 'deleted' : isFinal(status as never) ? (status as ParentEnd) : null;
}

/** Inserts a new group, or locks the one that gets more members. */
function* openGroupScript(statements: LinkTableStatements, { group, links }: LinkedInsert): SqlScript<void> {
  if (group?.isNew) {
    yield { sql: statements.INSERT_GROUP, params: [group.id, group.name, group.createdBy] };
  } else if (group) {
    const [row] = yield { sql: statements.LOCK_GROUPS, params: [JSON.stringify([group.id])] };
    if (row?.finished !== null && !(yield* isMemberScript(statements, group.id, links))) {
      throw new InvalidOptionsError('id', `group ${group.id} ${row ? 'has finished' : 'does not exist'}`);
    }
  }
}

/** Whether the first run of a repeated insert has stored these members. They may have ended, and the group with them. */
function* isMemberScript(
  { FIND_MEMBER: sql }: LinkTableStatements,
  groupId: string,
  links: readonly LinkInsert[],
): SqlScript<boolean> {
  const member = links.find(({ childId }) => childId === groupId);
  return member !== undefined && (yield { sql, params: [groupId, member.parentId] }).length > 0;
}

/** Returns each id once, in the order in which rows are locked. */
function toIds(values: readonly unknown[]): string[] {
  return [...new Set(values as string[])].sort();
}

function toReleasedJob({ id, topic }: SqlRow): ReleasedJob {
  return { id: id as string, topic: topic as string };
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
