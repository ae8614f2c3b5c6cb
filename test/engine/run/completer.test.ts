import { QueueUnavailableError, RowLockedError } from '../../../lib/core/errors.js';
import type { Outcome } from '../../../lib/core/job.js';
import type { Retention } from '../../../lib/core/options.js';
import type { CompletionResult } from '../../../lib/engine/run/attempt.js';
import { Completer } from '../../../lib/engine/run/completer.js';
import { systemClock } from '../../../lib/engine/system-clock.js';
import type { JobStore } from '../../../lib/store/job-store.js';
import type { Settled, Settlement } from '../../../lib/store/store-records.js';
import { ALONE } from '../../../lib/store/job-store.js';
import { SqlError } from '../../../lib/store/sql-error.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';

const GONE: Settled = { applied: false, status: null, attempt: 0, retries: null, runAt: null };
const KEPT: Retention = { completed: false, failed: false, cancelled: false };
const UNKEPT: Retention = { ...KEPT, completed: 0 };
const completed: Outcome = { kind: 'completed', result: null };
const failed: Outcome = { kind: 'failed', failure: { message: 'no luck', stack: null } };
/** An attempt whose handler had no transaction, and was left alone. */
const plain = { abortedFor: undefined, mayBeCompleted: false, isCompleted: false };
const quiet = { debug: () => undefined, log: () => undefined, warn: () => undefined, error: () => undefined };

function storeWith(settle: JobStore['settle']): JobStore {
  return { settle, capabilities: { pipelined: ALONE } } as unknown as JobStore;
}

interface Try {
  readonly outcome: Outcome;
  readonly retention: Retention;
  readonly isFirstAnswerLost: boolean;
  /** For how long the attempt owns its job. */
  readonly leaseMs: number;
  /** What the database says of an outcome that has moved nothing. */
  readonly standing: Settled;
  readonly abortedFor?: 'cancelled' | 'timeout';
  readonly mayBeCompleted?: boolean;
  readonly isCompleted?: boolean;
}

/** Settles the first attempt of a job; before the database says how that stands it may not answer. */
async function settle({ outcome, retention, isFirstAnswerLost, leaseMs, standing, ...ended }: Try): Promise<unknown> {
  const answers = jest.fn<Promise<Settled[]>, []>().mockResolvedValue([standing]);
  if (isFirstAnswerLost) {
    answers.mockRejectedValueOnce(new QueueUnavailableError('the database does not answer', { isUncertain: true }));
  }
  const store = storeWith(answers);
  const completer = new Completer({ store, clock: systemClock, logger: quiet, random: () => 0, retention });
  const leaseEndsMs = systemClock.now() + leaseMs;
  const attempt = { ...plain, claim: { id: 'a', attempt: 1 }, leaseEndsMs, ...ended };
  return new Promise((resolve) => completer.settle(attempt, outcome, 1, resolve));
}

const recorded: Try = {
  outcome: completed,
  retention: UNKEPT,
  isFirstAnswerLost: true,
  leaseMs: 60_000,
  standing: GONE,
};

describe('an outcome of a job that is gone', () => {
  it('was recorded by the first try, when its answer was lost and completed jobs are not kept', async () => {
    expect(await settle(recorded)).toMatchObject({ status: 'completed' });
  });

  it('was recorded as cancelled, when somebody had asked for that', async () => {
    expect(await settle({ ...recorded, abortedFor: 'cancelled' })).toMatchObject({ status: 'cancelled' });
    expect(await settle({ ...recorded, abortedFor: 'timeout' })).toMatchObject({ status: 'completed' });
  });

  it('was completed by a transaction of the handler, whatever became of its outcome', async () => {
    const byHandler = { ...recorded, outcome: failed, isFirstAnswerLost: false, mayBeCompleted: true };
    expect(await settle(byHandler)).toMatchObject({ status: 'completed' });
    expect(await settle({ ...byHandler, abortedFor: 'cancelled' })).toMatchObject({ status: 'completed' });
    // Which has committed, as far as is known here: then neither the lease nor the retention has a say.
    expect(await settle({ ...byHandler, retention: KEPT })).toBe('lease lost');
    expect(await settle({ ...byHandler, leaseMs: -1 })).toBe('lease lost');
    const known = { ...byHandler, isCompleted: true, retention: KEPT, leaseMs: -1 };
    expect(await settle(known)).toMatchObject({ status: 'completed' });
  });

  it.each<[string, Partial<Try>]>([
    ['no answer was lost', { isFirstAnswerLost: false }],
    ['completed jobs are kept', { retention: KEPT }],
    ['it is another outcome', { outcome: failed }],
    ['the lease has ended: another attempt may have completed it', { leaseMs: 0 }],
  ])('is lost when %s', async (_title, changes) => {
    expect(await settle({ ...recorded, ...changes })).toBe('lease lost');
  });
});

describe('an outcome whose answer was lost, of a job that has failed', () => {
  const standing: Settled = { ...GONE, status: 'failed', attempt: 1 };
  const told: Try = { ...recorded, retention: KEPT, outcome: failed, standing };

  it('was recorded, also when the lease has ended meanwhile', async () => {
    expect(await settle(told)).toMatchObject({ status: 'failed' });
    expect(await settle({ ...told, leaseMs: 0 })).toMatchObject({ status: 'failed' });
  });

  it('is lost when the rescue has recorded how the attempt ended', async () => {
    expect(await settle({ ...told, leaseMs: 0, standing: { ...standing, wasRescued: true } })).toBe('lease lost');
  });
});

describe('an outcome of a job that is completed', () => {
  const standing: Settled = { ...GONE, status: 'completed', attempt: 1 };
  const told: Try = { ...recorded, retention: KEPT, isFirstAnswerLost: false, standing };

  it.each<[string, Partial<Try>]>([
    ['the set it was part of was recorded in part, and refused', {}],
    ['the handler has completed it, in a transaction that seemed to fail', { outcome: failed }],
  ])('was recorded when %s', async (_title, changes) => {
    expect(await settle({ ...told, ...changes })).toMatchObject({ status: 'completed' });
  });

  it('is lost when another attempt has completed it', async () => {
    expect(await settle({ ...told, standing: { ...standing, attempt: 2 } })).toBe('lease lost');
  });
});

describe('an outcome that the database does not answer', () => {
  const away = new QueueUnavailableError('the database is away');
  const done: Settled = { applied: true, status: 'completed', attempt: 1, retries: 0, runAt: null };
  const attempt = { ...plain, claim: { id: 'a', attempt: 1 }, leaseEndsMs: 60_000 };
  let clock: VirtualClock;
  let settle: jest.Mock<Promise<Settled[]>, []>;
  let completer: Completer;
  let answers: unknown[];
  let lines: string[];

  /** It has been tried for so long that its pauses are as long as they get. */
  beforeEach(async () => {
    clock = new VirtualClock();
    settle = jest.fn<Promise<Settled[]>, []>().mockRejectedValue(away);
    const store = storeWith(settle);
    lines = [];
    const say = (line: string): number => lines.push(line);
    const logger = { ...quiet, log: say, warn: say, error: say };
    completer = new Completer({ store, clock, logger, random: () => 0.5, retention: KEPT });
    answers = [];
    completer.settle(attempt, completed, 1, (answer) => answers.push(answer));
    await clock.advance(5_000);
  });

  it('is tried at once when the process begins to end', async () => {
    expect(clock.nextWakeInMs).toBeGreaterThan(3_000);
    settle.mockResolvedValue([done]);
    completer.flush();
    await clock.settle();
    expect(answers).toEqual([done]);
    expect(clock.waiting).toBe(0);
  });

  it('is tried often from then on, since the grace is short', async () => {
    const tries = settle.mock.calls.length;
    completer.flush();
    await clock.advance(2_000);
    expect(settle.mock.calls.length - tries).toBeGreaterThanOrEqual(8);
    settle.mockResolvedValue([done]);
    await clock.advance(250);
    expect(answers).toEqual([done]);
  });

  it('pauses as ever when the process has begun again', async () => {
    completer.flush();
    completer.start();
    await clock.advance(1_000);
    expect(clock.nextWakeInMs).toBeGreaterThan(1_000);
  });

  it('is given up when its grace is over', async () => {
    completer.flush();
    await clock.settle();
    completer.abandon();
    await clock.advance(250);
    expect(answers).toEqual(['lease lost']);
  });

  it('is refused some times before it is given up, however long there was no answer', async () => {
    const refusal = new SqlError('refused', 'no', {});
    settle.mockRejectedValue(refusal);
    const tries = settle.mock.calls.length;
    for (let more = 20; more > 0 && answers.length === 0; more -= 1) await clock.advance(5_000);
    expect(answers).toEqual(['lease lost']);
    expect(settle.mock.calls.length - tries).toBe(7);
  });

  it('is told of once, and when it is over', async () => {
    completer.settle(attempt, failed, 1, (answer) => answers.push(answer));
    await clock.advance(5_000);
    expect(lines).toEqual([expect.stringMatching(/^storing outcomes: failed/)]);
    settle.mockResolvedValue([done]);
    await clock.advance(5_000);
    expect(answers).toHaveLength(2);
    expect(lines.slice(1)).toEqual(['storing outcomes: recovered']);
  });
});

describe('an outcome of a job whose row somebody has locked', () => {
  it('says so when it is asked again', async () => {
    const clock = new VirtualClock();
    const locked: Settled = { applied: false, status: 'processing', attempt: 1, retries: 0, runAt: null };
    const asked: (boolean | undefined)[] = [];
    const settle = (settlements: readonly Settlement[]): Promise<Settled[]> => {
      asked.push(...settlements.map(({ wasLocked }) => wasLocked));
      return Promise.resolve([locked]);
    };
    const store = storeWith(settle);
    const completer = new Completer({ store, clock, logger: quiet, random: () => 0.5, retention: KEPT });
    const attempt = { ...plain, claim: { id: 'a', attempt: 1 }, leaseEndsMs: 60_000 };
    completer.settle(attempt, completed, 1, () => undefined);
    await clock.advance(1_000);
    expect(asked.slice(0, 2)).toEqual([false, true]);
  });
});

describe('outcomes with long errors', () => {
  it('travel with so many others that a statement carries them', async () => {
    const sizes: number[] = [];
    const done: Settled = { applied: true, status: 'failed', attempt: 1, retries: 0, runAt: null };
    const answer = (settlements: readonly Settlement[]): Promise<Settled[]> => {
      sizes.push(settlements.length);
      return Promise.resolve(settlements.map(() => done));
    };
    const store = storeWith(answer);
    const completer = new Completer({ store, clock: systemClock, logger: quiet, random: () => 0, retention: KEPT });
    const long = 'x'.repeat(8_192);
    const outcome: Outcome = { kind: 'failed', failure: { message: long, stack: long } };
    const settled = Array.from({ length: 600 }, (_, index) => {
      const attempt = { ...plain, claim: { id: String(index), attempt: 1 }, leaseEndsMs: systemClock.now() + 60_000 };
      return new Promise((resolve) => completer.settle(attempt, outcome, 1, resolve));
    });
    await Promise.all(settled);
    expect(sizes).toEqual([256, 256, 88]);
  });
});

describe('outcomes of jobs that are not to be kept', () => {
  it('are stored without a deletion when the database refuses that', async () => {
    const asked: unknown[] = [];
    const done: Settled = { applied: true, status: 'completed', attempt: 1, retries: 0, runAt: null };
    const answer = (
      settlements: readonly Settlement[],
      discardStatuses: readonly string[] = [],
    ): Promise<Settled[]> => {
      asked.push([settlements.length, discardStatuses]);
      const refusal = new SqlError('refused', 'it is referred to', {});
      return discardStatuses.length > 0 ? Promise.reject(refusal) : Promise.resolve(settlements.map(() => done));
    };
    const store = storeWith(answer);
    const completer = new Completer({ store, clock: systemClock, logger: quiet, random: () => 0, retention: UNKEPT });
    const settled = (id: string): Promise<CompletionResult> => {
      const attempt = { ...plain, claim: { id, attempt: 1 }, leaseEndsMs: systemClock.now() + 60_000 };
      return new Promise((resolve) => completer.settle(attempt, completed, 1, resolve));
    };
    expect(await Promise.all([settled('a'), settled('b')])).toEqual([done, done]);
    expect(asked).toEqual([
      [2, ['completed']],
      [2, []],
    ]);
  });
});

describe('outcomes of which a store has written a part before it failed', () => {
  it.each([
    ['one by one, when it refused them', new Error('no')],
    ['together, when the table was locked', new RowLockedError('somebody makes an index')],
  ])('are told as they were recorded when they are tried again: %s', async (_title, error) => {
    const other: Settled = { applied: true, status: 'failed', attempt: 1, retries: 0, runAt: null };
    const answers = jest.fn<Promise<Settled[]>, [readonly Settlement[]]>(async (settlements) =>
      settlements.map(({ outcome }) => (outcome.kind === 'completed' ? GONE : other)),
    );
    answers.mockRejectedValueOnce(error);
    const store = storeWith(answers);
    const completer = new Completer({ store, clock: systemClock, logger: quiet, random: () => 0, retention: UNKEPT });
    const settled = (id: string, outcome: Outcome): Promise<CompletionResult> => {
      const attempt = { ...plain, claim: { id, attempt: 1 }, leaseEndsMs: systemClock.now() + 60_000 };
      return new Promise((resolve) => completer.settle(attempt, outcome, 1, resolve));
    };
    expect(await Promise.all([settled('a', completed), settled('b', failed)])).toMatchObject([
      { status: 'completed' },
      { status: 'failed' },
    ]);
  });
});
