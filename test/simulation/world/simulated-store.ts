import type { ClaimToken, Job } from '../../../lib/core/job.js';
import type { FinalStatus } from '../../../lib/core/job-state.js';
import type { Retention } from '../../../lib/core/retention.js';
import type {
  DefinitionStore,
  LimitStore,
  GroupStore,
  ScheduleStore,
  StepStore,
  TopicPauses,
  JobStore,
  JobReports,
  ReportRecords,
} from '../../../lib/store/job-store.js';
import type { StoreTransaction } from '../../../lib/store/transactions/application-transactions.js';
import type { Audience, StoreHints } from '../../../lib/store/runtime/store-hints.js';
import type { LinkChanges, LinkStore } from '../../../lib/store/links/link-store.js';
import type { LogStore } from '../../../lib/store/logs/log-store.js';
import type {
  ActionResult,
  ClaimRequest,
  ClaimResult,
  ClaimState,
  ExpiredJob,
  InsertedJob,
  JobInsert,
  LaneGap,
  LaneScan,
  LaneStart,
  ProgressEntry,
  PrunedPage,
  RequeueChanges,
  Rescue,
  Settled,
  Settlement,
} from '../../../lib/store/jobs/job-records.js';
import type { SimulatedTable } from './simulated-table.js';

/** The connection of a process to the table. */
export interface Connection {
  ask<T>(verb: keyof JobStore | 'report', work: () => T): Promise<T>;
  /** Whether another transaction locks the row of a statement. A claim gives the topic. */
  meetsLock(topic?: string): boolean;
  /** The reported duration of a scan. */
  tookMs(): number;
  /** @param audience of topics. */
  announce(news: readonly string[] | 'cancel' | 'workers', audience?: Audience): void;
  listen(hints: StoreHints): () => void;
  /** Whether the connection on which a process listens is open. */
  isOpen(backend: number): boolean;
}

/** A connection without latency and without faults. */
export const instantConnection: Connection = {
  ask: async (_verb, work) => work(),
  meetsLock: () => false,
  tookMs: () => 0,
  announce: () => undefined,
  listen: () => () => undefined,
  isOpen: () => false,
};

/** The store of one process. All processes share the table. */
export class SimulatedStore implements JobStore {
  readonly capabilities = {
    transactionsAtOnce: 0,
    inserts: { atOnce: 2, minJobsForAnother: 16 },
    pipelined: { atOnce: 2, minJobsForAnother: 1 },
    database: 'postgres',
  } as const;
  readonly reports: JobReports & ReportRecords;
  readonly pauses: TopicPauses;
  /** Simulated processes have no schedules. */
  readonly schedules = {} as ScheduleStore;
  /** Simulated topics have no limits. */
  readonly limits = {} as LimitStore;
  /** Simulated handlers declare nothing. */
  readonly definitions = {} as DefinitionStore;
  /** Simulated jobs have neither groups nor parents. */
  readonly groups = {} as GroupStore;
  /** Simulated handlers write no log. */
  readonly logs = {} as LogStore;
  readonly steps = {} as StepStore;
  readonly links = {
    observe: () => undefined,
    report: () => undefined,
    isIdle: true,
    idle: () => Promise.resolve(),
    takeFailure: () => undefined,
  } as unknown as LinkStore;

  constructor(
    private readonly table: SimulatedTable,
    private readonly connection: Connection,
  ) {
    this.reports = createReports(connection, table);
    this.pauses = createPauses(connection, table);
  }

  open(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  insert(jobs: readonly JobInsert[], _tx?: StoreTransaction, isOwn = false): Promise<InsertedJob[]> {
    return this.connection.ask('insert', () => {
      const inserted = this.table.insert(jobs);
      if (!isOwn) this.connection.announce(jobs.map(({ topic }) => topic));
      return inserted;
    });
  }

  find(ids: readonly string[]): Promise<Job[]> {
    return this.connection.ask('find', () => this.table.find(ids));
  }

  findHolder(topic: string, uniqueKey: string): Promise<Job | undefined> {
    return this.connection.ask('findHolder', () => this.table.findHolder(topic, uniqueKey));
  }

  joinTransaction(): never {
    throw new Error('a simulated store has no transactions of callers');
  }

  async claim(request: ClaimRequest): Promise<ClaimResult> {
    if (request.from === 'topic') {
      throw new Error('simulated topics have no limits');
    }
    const isFree = (topic: string): boolean => !this.connection.meetsLock(topic);
    const claims = await this.connection.ask('claim', () => this.table.claim(request, isFree));
    return { claims, rest: claims.length === request.limit ? 'maybe' : 'none' };
  }

  scan(gaps: readonly LaneGap[], lanes: readonly LaneStart[] = []): Promise<LaneScan> {
    return this.connection.ask('scan', () => ({ ...this.table.scan(gaps, lanes), tookMs: this.connection.tookMs() }));
  }

  markStarted(tokens: readonly ClaimToken[]): Promise<ClaimState[]> {
    return this.connection.ask('markStarted', () =>
      this.unlessLocked(tokens, (token) => this.table.markStarted([token])),
    );
  }

  renew(tokens: readonly ClaimToken[], leaseMs: number): Promise<ClaimState[]> {
    return this.connection.ask('renew', () => this.unlessLocked(tokens, (token) => this.table.renew([token], leaseMs)));
  }

  cancelRequests(tokens: readonly ClaimToken[]): Promise<ClaimToken[]> {
    return this.connection.ask('cancelRequests', () => this.table.cancelRequests(tokens));
  }

  settle(settlements: readonly Settlement[], discardStatuses: readonly FinalStatus[] = []): Promise<Settled[]> {
    return this.connection.ask('settle', () =>
      this.table.settle(settlements, discardStatuses, () => !this.connection.meetsLock()),
    );
  }

  recordProgress(entries: readonly ProgressEntry[]): Promise<ClaimState[]> {
    return this.connection.ask('recordProgress', () => {
      const values = new Map(entries.map(({ token, progress }) => [token, progress]));
      const record = (token: ClaimToken): ClaimState[] => this.table.recordProgress(token, values.get(token)!);
      return this.unlessLocked([...values.keys()], record);
    });
  }

  /** Only adds to the text of an error. */
  explainLostLeases(): Promise<string[]> {
    return this.connection.ask('explainLostLeases', () => []);
  }

  completeTx(_tx: StoreTransaction, token: ClaimToken, result: string | null): Promise<LinkChanges> {
    return this.connection.ask('completeTx', () => {
      this.table.complete(token, result);
      return { released: [], cancelled: [] };
    });
  }

  transaction(): Promise<never> {
    return Promise.reject(new Error('a simulated store has no transactions'));
  }

  rescue(limit: number, lowerBound: string | null = null): Promise<Rescue> {
    return this.connection.ask('rescue', () => ({
      ...this.table.rescue(limit, lowerBound),
      tookMs: this.connection.tookMs(),
    }));
  }

  /** The rescuer does not call it: no simulated job has an expiry. */
  expire(): Promise<ExpiredJob[]> {
    return this.connection.ask('expire', () => []);
  }

  prune(retention: Retention | null): Promise<PrunedPage> {
    return this.connection.ask('prune', () => this.table.prune(retention));
  }

  requeue(ids: readonly string[], changes: RequeueChanges = {}): Promise<ActionResult[]> {
    return this.connection.ask('requeue', () => this.table.requeue(ids, changes));
  }

  promote(ids: readonly string[]): Promise<ActionResult[]> {
    return this.connection.ask('promote', () => this.table.promote(ids));
  }

  async cancel(ids: readonly string[]): Promise<ActionResult[]> {
    return this.connection.ask('cancel', () => {
      const changed = this.table.cancel(ids);
      if (changed.some(({ status }) => status === 'processing')) {
        this.connection.announce('cancel');
      }
      return changed;
    });
  }

  delete(ids: readonly string[]): Promise<ActionResult[]> {
    return this.connection.ask('delete', () => this.table.delete(ids));
  }

  discard(tokens: readonly ClaimToken[], statuses: readonly FinalStatus[]): Promise<void> {
    return this.connection.ask('discard', () => this.table.discard(tokens, statuses));
  }

  announceSchedules(): void {}

  announce(topics: Iterable<string>, audience?: Audience): void {
    this.connection.announce([...topics], audience);
  }

  async announceWorkers(): Promise<void> {
    this.connection.announce('workers');
  }

  private unlessLocked(tokens: readonly ClaimToken[], write: (token: ClaimToken) => ClaimState[]): ClaimState[] {
    return tokens.flatMap((token) => {
      const owned = this.table.owned(token);
      const { cancelRequested = false } = owned ?? {};
      return owned && this.connection.meetsLock() ? [{ state: 'locked' as const, cancelRequested }] : write(token);
    });
  }

  async listen(hints: StoreHints): Promise<() => Promise<void>> {
    const stop = this.connection.listen(hints);
    return async () => stop();
  }
}

function createPauses(connection: Connection, { paused }: SimulatedTable): TopicPauses {
  return {
    list: () => connection.ask('pauses', () => [...paused].map(([topic, since]) => ({ topic, since }))),
    pause: (topics) =>
      connection.ask('pauses', () => topics.forEach((topic) => paused.set(topic, paused.get(topic) ?? new Date(0)))),
    resume: (topics) => connection.ask('pauses', () => topics.forEach((topic) => paused.delete(topic))),
  };
}

/** Accepts statistics and drops them. Keeps the list of live processes. */
function createReports(connection: Connection, table: SimulatedTable): JobReports & ReportRecords {
  const minute = new Date(0);
  const records: ReportRecords & Pick<JobReports, 'waitingTopics'> = {
    waitingTopics: () => connection.ask('report', () => []),
    recordRollup: () => connection.ask('report', () => minute),
    recordWorker: (worker, _topics, _details, sharing = null) =>
      connection.ask('report', () => {
        table.workers.set(worker, sharing);
        const others = [...table.workers].flatMap(([name, other]) =>
          sharing && other && name !== worker && connection.isOpen(other.backend)
            ? [{ worker: name, topics: undefined, pollIntervalMs: other.pollIntervalMs }]
            : [],
        );
        const now = new Date(table.options.now());
        return {
          now,
          others,
          schedulesVersion: '',
          hasLinks: false,
          hasLogs: false,
          hasDefinitions: false,
          isCountDue: false,
        };
      }),
    forgetWorker: (worker) => connection.ask('report', () => void table.workers.delete(worker)),
    claimCount: () => connection.ask('report', () => null),
    recordCounts: () => connection.ask('report', () => undefined),
    pruneReports: () => connection.ask('report', () => ({ removed: 0, next: null })),
  };
  return records as JobReports & ReportRecords;
}
