import { QueueUnavailableError, RowLockedError } from '../../../lib/core/errors.js';
import type { Outcome } from '../../../lib/core/job.js';
import type { Retention } from '../../../lib/core/retention.js';
import { HandlerRegistry } from '../../../lib/engine/runtime/handler-registry.js';
import type { CompletionResult } from '../../../lib/engine/run/attempt.js';
import { Completer } from '../../../lib/engine/run/completer.js';
import { systemClock } from '../../../lib/store/runtime/system-clock.js';
import type { JobStore } from '../../../lib/store/job-store.js';
import type { Settled, Settlement } from '../../../lib/store/jobs/job-records.js';
import { ONE_AT_A_TIME } from '../../../lib/store/job-store.js';
import { SqlError } from '../../../lib/store/runtime/sql-error.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';
import { logParts } from '../../support/unit/log-parts.js';

const GONE: Settled = { applied: false, status: null, attempt: 0, retries: null, runAt: null };
const KEPT: Retention = { completed: false, failed: false, cancelled: false };
const UNKEPT: Retention = { ...KEPT, completed: 0 };
const completed: Outcome = { kind: 'completed', result: null };
const failed: Outcome = { kind: 'failed', failure: { message: 'no luck', stack: null } };
/** An attempt without a transaction that was not aborted. */
const plain = {
  topic: 'work',
  abortedFor: undefined,
  mayBeCompleted: false,
  isCompleted: false,
  unsavedProgress: undefined,
};
const registry = new HandlerRegistry({ topics: undefined, canRunTransactions: false });
const quiet = { debug: () => undefined, log: () => undefined, warn: () => undefined, error: () => undefined };

function createStore(settle: JobStore['settle']): JobStore {
  return { settle, capabilities: { pipelined: ONE_AT_A_TIME } } as unknown as JobStore;
}

interface Scenario {
  readonly outcome: Outcome;
  readonly retention: Retention;
  readonly isFirstResponseLost: boolean;
  /** How long the attempt still owns its job. */
  readonly leaseMs: number;
  /** What the database returns for an outcome that changed no row. */
  readonly stored: Settled;
  readonly abortedFor?: 'cancelled' | 'timeout';
  readonly mayBeCompleted?: boolean;
  readonly isCompleted?: boolean;
}

/** Settles the first attempt of a job; the first response of the database may be lost. */
async function settle({
  outcome,
  retention,
  isFirstResponseLost,
  leaseMs,
  stored,
  ...ended
}: Scenario): Promise<unknown> {
  const answers = jest.fn<Promise<Settled[]>, []>().mockResolvedValue([stored]);
  if (isFirstResponseLost) {
    answers.mockRejectedValueOnce(new QueueUnavailableError('the database does not answer', { isUncertain: true }));
  }
  const store = createStore(answers);
  const completer = new Completer({ store, ...logParts(systemClock), random: () => 0, retention, registry });
  const leaseEndsMs = systemClock.now() + leaseMs;
  const attempt = { ...plain, claim: { id: 'a', attempt: 1 }, leaseEndsMs, ...ended };
  return new Promise((resolve) => completer.settle(attempt, outcome, 1, resolve));
}

const recorded: Scenario = {
  outcome: completed,
  retention: UNKEPT,
  isFirstResponseLost: true,
  leaseMs: 60_000,
  stored: GONE,
};

describe('an outcome of a deleted job', () => {
  it('was recorded by the first try when its response was lost and completed jobs are not kept', async () => {
    expect(await settle(recorded)).toMatchObject({ status: 'completed' });
  });

  it('was recorded as cancelled when a cancel was requested', async () => {
    expect(await settle({ ...recorded, abortedFor: 'cancelled' })).toMatchObject({ status: 'cancelled' });
    expect(await settle({ ...recorded, abortedFor: 'timeout' })).toMatchObject({ status: 'completed' });
  });

  it('was completed by a transaction of the handler, even if its own statement failed', async () => {
    const byHandler = { ...recorded, outcome: failed, isFirstResponseLost: false, mayBeCompleted: true };
    expect(await settle(byHandler)).toMatchObject({ status: 'completed' });
    expect(await settle({ ...byHandler, abortedFor: 'cancelled' })).toMatchObject({ status: 'completed' });
    // Once the commit is known, neither the lease nor the retention matters.
    expect(await settle({ ...byHandler, retention: KEPT })).toBe('lease lost');
    expect(await settle({ ...byHandler, leaseMs: -1 })).toBe('lease lost');
    const known = { ...byHandler, isCompleted: true, retention: KEPT, leaseMs: -1 };
    expect(await settle(known)).toMatchObject({ status: 'completed' });
  });

  it.each<[string, Partial<Scenario>]>([
    ['no response was lost', { isFirstResponseLost: false }],
    ['completed jobs are kept', { retention: KEPT }],
    ['the outcome is not completed', { outcome: failed }],
    ['the lease has ended: another attempt may have completed it', { leaseMs: 0 }],
  ])('is lost when %s', async (_title, changes) => {
    expect(await settle({ ...recorded, ...changes })).toBe('lease lost');
  });
});

describe('an outcome of a failed job whose response was lost', () => {
  const stored: Settled = { ...GONE, status: 'failed', attempt: 1 };
  const scenario: Scenario = { ...recorded, retention: KEPT, outcome: failed, stored };

  it('was recorded, even if the lease has expired since', async () => {
    expect(await settle(scenario)).toMatchObject({ status: 'failed' });
    expect(await settle({ ...scenario, leaseMs: 0 })).toMatchObject({ status: 'failed' });
  });

  it('is lost when a rescue has recorded the end of the attempt', async () => {
    expect(await settle({ ...scenario, leaseMs: 0, stored: { ...stored, wasRescued: true } })).toBe('lease lost');
  });
});

describe('an outcome of a completed job', () => {
  const stored: Settled = { ...GONE, status: 'completed', attempt: 1 };
  const scenario: Scenario = { ...recorded, retention: KEPT, isFirstResponseLost: false, stored };

  it.each<[string, Partial<Scenario>]>([
    ['its batch was rejected after a part of it was recorded', {}],
    ['the handler has completed the job in a transaction that seemed to fail', { outcome: failed }],
  ])('was recorded when %s', async (_title, changes) => {
    expect(await settle({ ...scenario, ...changes })).toMatchObject({ status: 'completed' });
  });

  it('is lost when another attempt has completed it', async () => {
    expect(await settle({ ...scenario, stored: { ...stored, attempt: 2 } })).toBe('lease lost');
  });
});

describe('an outcome during an outage of the database', () => {
  const away = new QueueUnavailableError('the database is away');
  const done: Settled = { applied: true, status: 'completed', attempt: 1, retries: 0, runAt: null };
  const attempt = { ...plain, claim: { id: 'a', attempt: 1 }, leaseEndsMs: 60_000 };
  let clock: VirtualClock;
  let settle: jest.Mock<Promise<Settled[]>, []>;
  let completer: Completer;
  let answers: unknown[];
  let lines: string[];

  /** The completer has retried until its pauses have reached their maximum. */
  beforeEach(async () => {
    clock = new VirtualClock();
    settle = jest.fn<Promise<Settled[]>, []>().mockRejectedValue(away);
    const store = createStore(settle);
    lines = [];
    const write = (line: string): number => lines.push(line);
    const logger = { ...quiet, log: write, warn: write, error: write };
    completer = new Completer({ store, ...logParts(clock, logger), random: () => 0.5, retention: KEPT, registry });
    answers = [];
    completer.settle(attempt, completed, 1, (answer) => answers.push(answer));
    await clock.advance(5_000);
  });

  it('is retried at once when shutdown starts', async () => {
    expect(clock.nextWakeInMs).toBeGreaterThan(3_000);
    settle.mockResolvedValue([done]);
    completer.flush();
    await clock.settle();
    expect(answers).toEqual([done]);
    expect(clock.waiting).toBe(0);
  });

  it('is retried often during shutdown, since the time is short', async () => {
    const tries = settle.mock.calls.length;
    completer.flush();
    await clock.advance(2_000);
    expect(settle.mock.calls.length - tries).toBeGreaterThanOrEqual(8);
    settle.mockResolvedValue([done]);
    await clock.advance(250);
    expect(answers).toEqual([done]);
  });

  it('is retried with the usual pauses after a restart', async () => {
    completer.flush();
    completer.start();
    await clock.advance(1_000);
    expect(clock.nextWakeInMs).toBeGreaterThan(1_000);
  });

  it('is abandoned at the end of the shutdown time', async () => {
    completer.flush();
    await clock.settle();
    completer.abandon();
    await clock.advance(250);
    expect(answers).toEqual(['lease lost']);
  });

  it('is abandoned only after several rejections, even after a long outage', async () => {
    const refusal = new SqlError('refused', 'no', {});
    settle.mockRejectedValue(refusal);
    const tries = settle.mock.calls.length;
    for (let more = 20; more > 0 && answers.length === 0; more -= 1) await clock.advance(5_000);
    expect(answers).toEqual(['lease lost']);
    expect(settle.mock.calls.length - tries).toBe(7);
  });

  it('is logged once, and again when the database is back', async () => {
    completer.settle(attempt, failed, 1, (answer) => answers.push(answer));
    await clock.advance(5_000);
    expect(lines).toEqual(['the database is away (noticed by: storing outcomes); retrying until the database is back']);
    settle.mockResolvedValue([done]);
    await clock.advance(5_000);
    expect(answers).toHaveLength(2);
    expect(lines.slice(1)).toEqual([expect.stringMatching(/^the database is back; the outage lasted \d+\.\d s$/)]);
  });
});

describe('an outcome of a job whose row is locked', () => {
  it('is marked as wasLocked when it is retried', async () => {
    const clock = new VirtualClock();
    const locked: Settled = { applied: false, status: 'processing', attempt: 1, retries: 0, runAt: null };
    const sent: (boolean | undefined)[] = [];
    const settle = (settlements: readonly Settlement[]): Promise<Settled[]> => {
      sent.push(...settlements.map(({ wasLocked }) => wasLocked));
      return Promise.resolve([locked]);
    };
    const store = createStore(settle);
    const completer = new Completer({ store, ...logParts(clock), random: () => 0.5, retention: KEPT, registry });
    const attempt = { ...plain, claim: { id: 'a', attempt: 1 }, leaseEndsMs: 60_000 };
    completer.settle(attempt, completed, 1, () => undefined);
    await clock.advance(1_000);
    expect(sent.slice(0, 2)).toEqual([false, true]);
  });
});

describe('outcomes with long errors', () => {
  it('are sent in batches that fit into a statement', async () => {
    const sizes: number[] = [];
    const done: Settled = { applied: true, status: 'failed', attempt: 1, retries: 0, runAt: null };
    const answer = (settlements: readonly Settlement[]): Promise<Settled[]> => {
      sizes.push(settlements.length);
      return Promise.resolve(settlements.map(() => done));
    };
    const store = createStore(answer);
    const completer = new Completer({ store, ...logParts(systemClock), random: () => 0, retention: KEPT, registry });
    const long = 'x'.repeat(8_192);
    const outcome: Outcome = { kind: 'failed', failure: { message: long, stack: long } };
    const settleJob = Array.from({ length: 600 }, (_, index) => {
      const attempt = { ...plain, claim: { id: String(index), attempt: 1 }, leaseEndsMs: systemClock.now() + 60_000 };
      return new Promise((resolve) => completer.settle(attempt, outcome, 1, resolve));
    });
    await Promise.all(settleJob);
    expect(sizes).toEqual([256, 256, 88]);
  });
});

describe('outcomes of jobs that are not to be kept', () => {
  it('are stored without deleting the jobs when the database rejects the deletion', async () => {
    const sent: unknown[] = [];
    const done: Settled = { applied: true, status: 'completed', attempt: 1, retries: 0, runAt: null };
    const answer = (
      settlements: readonly Settlement[],
      discardStatuses: readonly string[] = [],
    ): Promise<Settled[]> => {
      sent.push([settlements.length, discardStatuses]);
      const refusal = new SqlError('refused', 'it is referred to', {});
      return discardStatuses.length > 0 ? Promise.reject(refusal) : Promise.resolve(settlements.map(() => done));
    };
    const store = createStore(answer);
    const completer = new Completer({ store, ...logParts(systemClock), random: () => 0, retention: UNKEPT, registry });
    const settleJob = (id: string): Promise<CompletionResult> => {
      const attempt = { ...plain, claim: { id, attempt: 1 }, leaseEndsMs: systemClock.now() + 60_000 };
      return new Promise((resolve) => completer.settle(attempt, completed, 1, resolve));
    };
    expect(await Promise.all([settleJob('a'), settleJob('b')])).toEqual([done, done]);
    expect(sent).toEqual([
      [2, ['completed']],
      [2, []],
    ]);
  });
});

describe('outcomes of which the store wrote a part before it failed', () => {
  it.each([
    ['one by one after the database rejected the batch', new Error('no')],
    ['together after the table was locked', new RowLockedError('another session builds an index')],
  ])('are reported as recorded when they are retried: %s', async (_title, error) => {
    const other: Settled = { applied: true, status: 'failed', attempt: 1, retries: 0, runAt: null };
    const answers = jest.fn<Promise<Settled[]>, [readonly Settlement[]]>(async (settlements) =>
      settlements.map(({ outcome }) => (outcome.kind === 'completed' ? GONE : other)),
    );
    answers.mockRejectedValueOnce(error);
    const store = createStore(answers);
    const completer = new Completer({ store, ...logParts(systemClock), random: () => 0, retention: UNKEPT, registry });
    const settleJob = (id: string, outcome: Outcome): Promise<CompletionResult> => {
      const attempt = { ...plain, claim: { id, attempt: 1 }, leaseEndsMs: systemClock.now() + 60_000 };
      return new Promise((resolve) => completer.settle(attempt, outcome, 1, resolve));
    };
    expect(await Promise.all([settleJob('a', completed), settleJob('b', failed)])).toMatchObject([
      { status: 'completed' },
      { status: 'failed' },
    ]);
  });
});
