import type { Claim, ClaimToken, Job } from '../../../lib/core/job.js';
import type { FinalStatus } from '../../../lib/core/job-state.js';
import type { Retention } from '../../../lib/core/options.js';
import type {
  StoreHints,
  StoreTransaction,
  TopicPauses,
  JobStore,
  JobReports,
  ReportRecords,
} from '../../../lib/store/job-store.js';
import type {
  ActionResult,
  ClaimRequest,
  ClaimState,
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
} from '../../../lib/store/store-records.js';
import type { SimulatedTable } from './simulated-table.js';

/** The way from a process to the table and back. */
export interface Line {
  /** What claimed rows say in `locked_by`; absent: what the engine says, which differs from run to run. */
  readonly worker?: string;
  ask<T>(verb: keyof JobStore | 'report', work: () => T): Promise<T>;
  /** Whether a statement meets a row that somebody else holds at this moment; a claim says of which topic. */
  meetsLock(topic?: string): boolean;
  /** How long a look into the indexes is said to have taken. */
  tookMs(): number;
  announce(topics: readonly string[] | 'cancel'): void;
  listen(hints: StoreHints): () => void;
}

/** A line without any length, on which nothing happens. */
export const shortLine: Line = {
  ask: async (_verb, work) => work(),
  meetsLock: () => false,
  tookMs: () => 0,
  announce: () => undefined,
  listen: () => () => undefined,
};

/** The store of one process, at one end of a line; at the other is the table that all share. */
export class SimulatedStore implements JobStore {
  readonly capabilities = {
    transactionsAtOnce: 0,
    inserts: { atOnce: 2, jobsMin: 16 },
    pipelined: { atOnce: 2, jobsMin: 1 },
    database: 'postgres',
  } as const;
  readonly reports: JobReports & ReportRecords;
  readonly pauses: TopicPauses;

  constructor(
    private readonly table: SimulatedTable,
    private readonly line: Line,
  ) {
    this.reports = reportsOver(line);
    this.pauses = pausesOver(line, table);
  }

  open(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  insert(jobs: readonly JobInsert[]): Promise<InsertedJob[]> {
    return this.line.ask('insert', () => {
      const inserted = this.table.insert(jobs);
      this.line.announce(jobs.map(({ topic }) => topic));
      return inserted;
    });
  }

  find(ids: readonly string[]): Promise<Job[]> {
    return this.line.ask('find', () => this.table.find(ids));
  }

  findHolder(topic: string, uniqueKey: string): Promise<Job | undefined> {
    return this.line.ask('findHolder', () => this.table.findHolder(topic, uniqueKey));
  }

  joinTransaction(): never {
    throw new Error('a simulated store has no transactions of callers');
  }

  claim(request: ClaimRequest): Promise<Claim[]> {
    const { worker = request.worker } = this.line;
    return this.line.ask('claim', () =>
      this.table.claim({ ...request, worker }, (topic) => !this.line.meetsLock(topic)),
    );
  }

  scan(gaps: readonly LaneGap[], lanes: readonly LaneStart[] = []): Promise<LaneScan> {
    return this.line.ask('scan', () => ({ ...this.table.scan(gaps, lanes), tookMs: this.line.tookMs() }));
  }

  markStarted(tokens: readonly ClaimToken[]): Promise<ClaimState[]> {
    return this.line.ask('markStarted', () => this.unlessLocked(tokens, (token) => this.table.markStarted([token])));
  }

  renew(tokens: readonly ClaimToken[], leaseMs: number): Promise<ClaimState[]> {
    return this.line.ask('renew', () => this.unlessLocked(tokens, (token) => this.table.renew([token], leaseMs)));
  }

  cancelRequests(tokens: readonly ClaimToken[]): Promise<ClaimToken[]> {
    return this.line.ask('cancelRequests', () => this.table.cancelRequests(tokens));
  }

  settle(settlements: readonly Settlement[], discardStatuses: readonly FinalStatus[] = []): Promise<Settled[]> {
    return this.line.ask('settle', () => this.table.settle(settlements, discardStatuses, () => !this.line.meetsLock()));
  }

  recordProgress(entries: readonly ProgressEntry[]): Promise<boolean[]> {
    return this.line.ask('recordProgress', () => this.table.recordProgress(entries));
  }

  completeTx(_tx: StoreTransaction, token: ClaimToken, result: string | null): Promise<void> {
    return this.line.ask('completeTx', () => this.table.complete(token, result));
  }

  transaction(): Promise<never> {
    return Promise.reject(new Error('a simulated store has no transactions'));
  }

  rescue(limit: number, lowerBound: string | null = null): Promise<Rescue> {
    return this.line.ask('rescue', () => ({ ...this.table.rescue(limit, lowerBound), tookMs: this.line.tookMs() }));
  }

  prune(retention: Retention): Promise<PrunedPage> {
    return this.line.ask('prune', () => this.table.prune(retention));
  }

  requeue(ids: readonly string[], changes: RequeueChanges = {}): Promise<ActionResult[]> {
    return this.line.ask('requeue', () => this.table.requeue(ids, changes));
  }

  promote(ids: readonly string[]): Promise<ActionResult[]> {
    return this.line.ask('promote', () => this.table.promote(ids));
  }

  async cancel(ids: readonly string[]): Promise<ActionResult[]> {
    return this.line.ask('cancel', () => {
      const moved = this.table.cancel(ids);
      if (moved.some(({ status }) => status === 'processing')) {
        this.line.announce('cancel');
      }
      return moved;
    });
  }

  delete(ids: readonly string[]): Promise<ActionResult[]> {
    return this.line.ask('delete', () => this.table.delete(ids));
  }

  discard(tokens: readonly ClaimToken[], statuses: readonly FinalStatus[]): Promise<void> {
    return this.line.ask('discard', () => this.table.discard(tokens, statuses));
  }

  announce(topics: Iterable<string>): void {
    this.line.announce([...topics]);
  }

  private unlessLocked(tokens: readonly ClaimToken[], write: (token: ClaimToken) => ClaimState[]): ClaimState[] {
    return tokens.flatMap((token) => {
      const owned = this.table.owned(token);
      const { cancelRequested = false } = owned ?? {};
      return owned && this.line.meetsLock() ? [{ state: 'busy' as const, cancelRequested }] : write(token);
    });
  }

  async listen(hints: StoreHints): Promise<() => Promise<void>> {
    const stop = this.line.listen(hints);
    return async () => stop();
  }
}

function pausesOver(line: Line, { paused }: SimulatedTable): TopicPauses {
  return {
    list: () => line.ask('pauses', () => [...paused].map(([topic, since]) => ({ topic, since }))),
    pause: (topics) =>
      line.ask('pauses', () => topics.forEach((topic) => paused.set(topic, paused.get(topic) ?? new Date(0)))),
    resume: (topics) => line.ask('pauses', () => topics.forEach((topic) => paused.delete(topic))),
  };
}

/** Processes write their statistics down; nobody reads them here. */
function reportsOver(line: Line): JobReports & ReportRecords {
  const minute = new Date(0);
  const records: ReportRecords & Pick<JobReports, 'waitingTopics'> = {
    waitingTopics: () => line.ask('report', () => []),
    recordRollup: () => line.ask('report', () => minute),
    noteWorker: () => line.ask('report', () => undefined),
    forgetWorker: () => line.ask('report', () => undefined),
    pruneReports: () => line.ask('report', () => undefined),
  };
  return records as JobReports & ReportRecords;
}
