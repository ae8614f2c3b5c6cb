import type { WorkerDetails } from '../../lib/core/job-reports.js';
import { v7 as uuidv7 } from 'uuid';
import type { Claim, ClaimToken, Outcome } from '../../lib/core/job.js';
import type {
  LaneClaimRequest,
  ClaimState,
  JobInsert,
  Lane,
  Rescued,
  Settlement,
} from '../../lib/store/jobs/job-records.js';
import type { JobStore } from '../../lib/store/job-store.js';

export const TOPIC = 'mail';
export const WORKER = 'worker-1';
export const LEASE_MS = 30_000;

/** Creates a job to insert: due now, with the default topic. */
export function newJob(members: Partial<JobInsert> = {}): JobInsert {
  return {
    id: uuidv7(),
    topic: TOPIC,
    payload: '{}',
    runAt: null,
    delayMs: 0,
    maxRetries: 3,
    priority: 0,
    timeoutMs: null,
    backoff: null,
    uniqueKey: null,
    uniqueMode: null,
    concurrencyKey: null,
    labels: null,
    expiry: null,
    idempotency: null,
    metadata: null,
    ...members,
  };
}

export function newJobs(count: number, members: Partial<JobInsert> = {}): JobInsert[] {
  return Array.from({ length: count }, () => newJob(members));
}

/** Inserts a job. Returns its id. */
export async function insertOne(store: JobStore, members: Partial<JobInsert> = {}): Promise<string> {
  const [inserted] = await store.insert([newJob(members)]);
  return inserted!.id;
}

/** Inserts jobs. Returns their ids, oldest first. */
export async function insertMany(store: JobStore, count: number, members: Partial<JobInsert> = {}): Promise<string[]> {
  return (await store.insert(newJobs(count, members))).map(({ id }) => id);
}

export function lane(members: Partial<Lane> = {}): Lane {
  return { topic: TOPIC, priority: 0, lowerBound: null, limit: 1_000, ...members };
}

/** Claims due jobs of the default lane, or of the given ones. */
export async function claim(store: JobStore, request: Partial<LaneClaimRequest> = {}): Promise<Claim[]> {
  const defaults = { from: 'lanes' as const, lanes: [lane()], limit: 1_000, leaseMs: LEASE_MS, worker: WORKER };
  return (await store.claim({ ...defaults, ...request })).claims;
}

/** The states of a claim that is owned and of one that is not. */
export const HELD: ClaimState = { state: 'held', cancelRequested: false };
export const LOST: ClaimState = { state: 'lost', cancelRequested: false };

/** Removes the row references from the states of claims. */
export function dropRowRefs(states: readonly ClaimState[]): ClaimState[] {
  return states.map(({ state, cancelRequested }) => ({ state, cancelRequested }));
}

/** Rescues jobs with expired leases. */
export async function rescue(store: JobStore, limit: number): Promise<readonly Rescued[]> {
  return (await store.rescue(limit)).rescued;
}

/** Inserts a job and claims it. */
export async function claimOne(store: JobStore, members: Partial<JobInsert> = {}): Promise<Claim> {
  return (await claimMany(store, 1, members))[0]!;
}

/** Inserts jobs and claims them. Returns the claims in the order of their ids. */
export async function claimMany(store: JobStore, count: number, members: Partial<JobInsert> = {}): Promise<Claim[]> {
  const { topic, priority } = newJob(members);
  const ids = await insertMany(store, count, members);
  const claims = await claim(store, { lanes: [lane({ topic, priority })], limit: count });
  if (claims.length !== count || !claims.every(({ id }) => ids.includes(id))) {
    throw new Error(`expected to claim the ${count} jobs just inserted, got ${claims.length}`);
  }
  return claims.sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** Inserts jobs whose first attempt has failed. They wait an hour for their retry. */
export async function createRetrying(
  store: JobStore,
  count: number,
  message = 'no luck',
  topic = TOPIC,
): Promise<string[]> {
  const claims = await claimMany(store, count, { topic });
  await store.settle(
    claims.map((token) => settlement(token, { kind: 'retry', delayMs: 3_600_000, failure: failure(message) })),
  );
  return claims.map(({ id }) => id);
}

export const failure = (
  message = 'no luck',
  stack: string | null = null,
): { message: string; stack: string | null } => ({
  message,
  stack,
});

/** One outcome of each kind; jobs that return to waiting are due at once. */
export const outcomes = {
  completed: (result: string | null = null): Outcome => ({ kind: 'completed', result }),
  retry: (delayMs = 0): Outcome => ({ kind: 'retry', delayMs, failure: failure() }),
  failed: (): Outcome => ({ kind: 'failed', failure: failure() }),
  snooze: (delayMs = 0): Outcome => ({ kind: 'snooze', delayMs }),
  release: (delayMs: number | null = 0): Outcome => ({ kind: 'release', delayMs }),
  cancelled: (): Outcome => ({ kind: 'cancelled' }),
};

export function settlement(token: ClaimToken, outcome: Outcome): Settlement {
  return { token, outcome, durationMs: null };
}

/** What a process reports about itself. */
export const WORKER_DETAILS: WorkerDetails = {
  host: 'here',
  pid: 7,
  version: '0.1.0',
  schemaVersion: 'CreateJobs1736500000000',
  running: 0,
  concurrency: 10,
  isDraining: false,
  isNotified: true,
  handlers: [],
};
