import type { Clock } from '../core/clock.js';
import { sleep } from '../core/clock.js';
import { QueueUnavailableError } from '../core/errors.js';
import { UNRECORDABLE_FAILURE } from '../core/failure.js';
import type { ClaimToken, Outcome } from '../core/job.js';
import type { FinalStatus, JobStatus } from '../core/job-state.js';
import type { JobsLogger } from '../core/logger.js';
import type { Retention } from '../core/options.js';
import type { JobStore, Settled, Settlement } from '../store/job-store.js';
import { Batcher } from './batcher.js';

export interface SettlerOptions {
  readonly store: JobStore;
  readonly clock: Clock;
  readonly logger: JobsLogger;
  readonly random: () => number;
  readonly retention: Retention;
}

/** What the settler asks of an attempt. */
export interface SettledAttempt {
  readonly claim: ClaimToken;
  /** Whether the handler may have completed the job in a transaction of its own. */
  readonly mayBeCompleted: boolean;
}

/** The row after settling, or the news that another attempt owns it or that it is gone. */
export type SettleAnswer = Settled | 'lease lost';

const PAUSE_MIN_MS = 100;
const PAUSE_MAX_MS = 5_000;

/** Writes outcomes, many in one statement, until the database has given an answer. */
export class Settler {
  private readonly batcher: Batcher<Settlement, Settled>;
  private readonly unkept: readonly FinalStatus[];
  private hasGivenUp = false;

  constructor(private readonly options: SettlerOptions) {
    const { store, retention } = options;
    this.unkept = (Object.keys(retention) as FinalStatus[]).filter((status) => retention[status] === 0);
    this.batcher = new Batcher({
      run: (settlements) => store.settle(settlements, this.unkept),
      bytesOf: ({ outcome }) => (outcome.kind === 'completed' ? (outcome.result?.length ?? 0) : 0),
    });
  }

  /**
   * Records how an attempt ended. Never rejects: while the database is away it is asked again and again, which is safe
   * by the fence; what the database refuses to store gives way to a fixed text.
   */
  async settle(attempt: SettledAttempt, outcome: Outcome, ranMs: number | null): Promise<SettleAnswer> {
    const token = attempt.claim;
    let isUncertain = false;
    let current = outcome;
    for (let failures = 0; !this.hasGivenUp;) {
      try {
        const settled = await this.batcher.add({ token, outcome: current, ranMs });
        const isStillOurs = !settled.applied && settled.status === 'processing' && settled.attempt === token.attempt;
        if (!isStillOurs) {
          return isUncertain && this.isRemoved(outcome, settled)
            ? { ...settled, status: 'completed' }
            : answerOf(attempt, outcome, settled, isUncertain);
        }
        // Somebody, a cancel for example, changed the row at this very moment: the statement saw it as it was before.
        await this.pause((failures += 1));
      } catch (error) {
        if (error instanceof QueueUnavailableError) {
          isUncertain = true;
          await this.pause((failures += 1));
        } else if (current === outcome) {
          this.options.logger.error(`outcome of job ${token.id} was refused, a fixed text is stored: ${String(error)}`);
          current = plainOutcome(outcome);
        } else {
          this.options.logger.error(`outcome of job ${token.id} was refused for good: ${String(error)}`);
          return 'lease lost';
        }
      }
    }
    return 'lease lost';
  }

  /** Waits for a database that is away, from now on until `giveUp`. */
  start(): void {
    this.hasGivenUp = false;
  }

  /** Ends the waiting for a database that is away; its jobs will be rescued by others. */
  giveUp(): void {
    this.hasGivenUp = true;
  }

  /** Whether a first try, whose answer was lost, has completed the job and not kept it: nobody else removes one that runs. */
  private isRemoved(outcome: Outcome, { status }: Settled): boolean {
    return status === null && outcome.kind === 'completed' && this.unkept.includes('completed');
  }

  private pause(failures: number): Promise<void> {
    const ms = Math.min(PAUSE_MIN_MS * 2 ** (failures - 1), PAUSE_MAX_MS);
    return sleep(this.options.clock, ms * (0.5 + this.options.random() / 2));
  }
}

function answerOf(
  { claim: token, mayBeCompleted }: SettledAttempt,
  outcome: Outcome,
  settled: Settled,
  isUncertain: boolean,
): SettleAnswer {
  const isExpected = isUncertain && settled.status !== null && statusesOf(outcome).includes(settled.status);
  const isCompleted = mayBeCompleted && settled.status === 'completed';
  const isOurs = settled.attempt === token.attempt && (isExpected || isCompleted);
  return settled.applied || isOurs ? settled : 'lease lost';
}

/** Where an outcome may have taken the row, when the answer to a first try was lost. */
function statusesOf(outcome: Outcome): readonly JobStatus[] {
  switch (outcome.kind) {
    case 'retry':
      return ['pending', 'failed', 'cancelled'];
    case 'snooze':
    case 'release':
      return ['pending', 'cancelled'];
    default:
      return [outcome.kind, 'cancelled'];
  }
}

function plainOutcome(outcome: Outcome): Outcome {
  if (outcome.kind === 'completed') {
    return { kind: 'completed', result: null };
  }
  return 'failure' in outcome ? { ...outcome, failure: UNRECORDABLE_FAILURE } : outcome;
}
