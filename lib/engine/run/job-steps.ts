import type { Clock } from '../../core/clock.js';
import { InvalidOptionsError, LeaseLostError, QueueUnavailableError } from '../../core/errors.js';
import type { ClaimToken, JobStep } from '../../core/job.js';
import { readStepName, StepSizes, toStepText } from '../../core/job-step.js';
import type { JobStore, StepEntry } from '../../store/job-store.js';
import type { ClaimState } from '../../store/jobs/job-records.js';
import { Batcher } from '../runtime/batcher.js';

/** What the steps use of their attempt. */
interface SteppingAttempt {
  readonly claim: ClaimToken;
  readonly isOver: boolean;
  applyState(row: ClaimState): void;
  throwIfAborted(): void;
}

/** The pause before a step is written again whose row was locked, or for which the database did not reply. */
const RETRY_PAUSE_MS = 50;

/** Records the finished steps of all jobs of the process, in sets. */
export class StepWriter {
  private readonly batcher: Batcher<StepEntry, ClaimState>;

  constructor(private readonly parts: { readonly store: Pick<JobStore, 'steps' | 'find'>; readonly clock: Clock }) {
    this.batcher = new Batcher({
      run: (entries) => parts.store.steps.record(entries),
      measureLength: ({ step }) => step.length,
    });
  }

  /** Returns the steps that earlier attempts have recorded. */
  async read({ id }: ClaimToken): Promise<readonly JobStep[]> {
    return (await this.parts.store.find([id]))[0]?.steps ?? [];
  }

  /** Records a step. Tries again until the database replies or the attempt is over. @throws LeaseLostError */
  async write(attempt: SteppingAttempt, step: string): Promise<void> {
    for (;;) {
      const { id, attempt: number } = attempt.claim;
      if (attempt.isOver) {
        throw new LeaseLostError(id, number);
      }
      const row = await this.batcher.add({ token: attempt.claim, step }).catch(toRetryable);
      if (row) {
        attempt.applyState(row);
      }
      if (row?.state === 'held') {
        return;
      }
      if (row?.state === 'lost') {
        throw new LeaseLostError(id, number);
      }
      await new Promise<void>((resolve) => this.parts.clock.schedule(RETRY_PAUSE_MS, resolve));
    }
  }
}

/** Returns `undefined` for an outage: the step has had its effect, so the attempt must not fail for it. */
function toRetryable(error: unknown): undefined {
  if (!(error instanceof QueueUnavailableError)) {
    throw error;
  }
}

/** The steps of one attempt. Made by the first call of `step`. */
export class JobSteps {
  /** Names that this attempt has called. */
  private readonly called = new Set<string>();
  private readonly sizes = new StepSizes();
  private recorded: Promise<ReadonlyMap<string, JobStep>> | undefined;
  /** One write after another: a set has one entry for each job. */
  private lastWrite: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly attempt: SteppingAttempt,
    private readonly writer: Pick<StepWriter, 'read' | 'write'>,
  ) {}

  /** @see JobContext.step */
  async run(given: unknown, work: () => unknown): Promise<unknown> {
    const name = readStepName(given);
    if (typeof work !== 'function') {
      throw new InvalidOptionsError(`step '${name}'`, `expected a function, got ${typeof work}`);
    }
    if (this.called.has(name)) {
      throw new InvalidOptionsError(`step '${name}'`, 'was called before in this attempt; give each step its own name');
    }
    this.called.add(name);
    try {
      return await this.runOnce(name, work);
    } catch (error) {
      // The handler may catch the error and try again.
      this.called.delete(name);
      throw error;
    }
  }

  private async runOnce(name: string, work: () => unknown): Promise<unknown> {
    const earlier = (await this.readRecorded()).get(name);
    if (earlier) {
      return earlier.result;
    }
    this.attempt.throwIfAborted();
    const text = toStepText(name, await work());
    this.sizes.add(name, text);
    const write = this.lastWrite.then(() => this.writer.write(this.attempt, text));
    this.lastWrite = write.catch(() => undefined);
    try {
      await write;
    } catch (error) {
      this.sizes.remove(name);
      throw error;
    }
    return (JSON.parse(text) as JobStep).result;
  }

  private readRecorded(): Promise<ReadonlyMap<string, JobStep>> {
    this.recorded ??= this.read().catch((error: unknown) => {
      this.recorded = undefined;
      throw error;
    });
    return this.recorded;
  }

  private async read(): Promise<ReadonlyMap<string, JobStep>> {
    const { claim } = this.attempt;
    // The first attempt has none.
    const steps = claim.attempt > 1 ? await this.writer.read(claim) : [];
    steps.forEach(({ finished: _, ...step }) => this.sizes.add(step.name, JSON.stringify(step)));
    return new Map(steps.map((step) => [step.name, step]));
  }
}
