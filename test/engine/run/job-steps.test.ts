import { DatabaseRefusedError, LeaseLostError, QueueUnavailableError } from '../../../lib/core/errors.js';
import type { Claim, JobStep } from '../../../lib/core/job.js';
import { Attempt } from '../../../lib/engine/run/attempt.js';
import { StepWriter } from '../../../lib/engine/run/job-steps.js';
import type { JobStore, StepEntry } from '../../../lib/store/job-store.js';
import type { ClaimState } from '../../../lib/store/jobs/job-records.js';
import { HELD } from '../../support/job-rows.js';
import { RecordingLogger } from '../../support/unit/recording-logger.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';

const LOCKED: ClaimState = { ...HELD, state: 'locked' };
const LOST: ClaimState = { ...HELD, state: 'lost' };

describe('the steps of an attempt', () => {
  let clock: VirtualClock;
  /** The names in each statement. */
  let statements: string[][];
  let reads: number;
  let responses: (ClaimState | Error)[];
  let stored: JobStep[];

  beforeEach(() => {
    clock = new VirtualClock();
    [statements, reads, responses, stored] = [[], 0, [], []];
  });

  const begin = (attempt = 1, id = 'a'): Attempt => {
    const logger = new RecordingLogger();
    const store = {
      steps: {
        record: async (entries: readonly StepEntry[]) => {
          statements.push(entries.map(({ step }) => (JSON.parse(step) as JobStep).name));
          const response = responses.shift() ?? HELD;
          if (response instanceof Error) throw response;
          return entries.map(() => response);
        },
      },
      find: async () => {
        reads += 1;
        return [{ steps: stored }];
      },
    } as unknown as JobStore;
    const ignored = { add: () => undefined };
    const stepWriter = new StepWriter({ store, clock });
    const parts = { store, clock, logger, progressWriter: ignored, logWriter: ignored, stepWriter };
    return new Attempt({ id, attempt } as Claim, parts, 0, Infinity);
  };

  it('are read once, and only by an attempt after the first', async () => {
    await begin(1).step('first', () => 1);
    expect(reads).toBe(0);
    stored = [{ name: 'first', result: 'stored', finished: '' }];
    const second = begin(2);
    expect(await Promise.all([second.step('first', () => 1), second.step('second', () => 2)])).toEqual(['stored', 2]);
    expect(reads).toBe(1);
    expect(statements).toEqual([['first'], ['second']]);
  });

  it.each([
    ['the database does not reply', new QueueUnavailableError('away')],
    ['another transaction locks the row', LOCKED],
  ])('are written again when %s', async (_, response) => {
    responses = [response, response];
    const work = jest.fn(() => 'done');
    const call = begin().step('first', work);
    for (let tries = 0; tries < 3; tries += 1) {
      await clock.advance(50);
    }
    expect(await call).toBe('done');
    expect(work).toHaveBeenCalledTimes(1);
    expect(statements).toHaveLength(3);
  });

  it('stop being written when the attempt is over', async () => {
    responses = [new QueueUnavailableError('away')];
    const attempt = begin();
    const call = attempt.step('first', () => 1);
    const error = call.catch((thrown: unknown) => thrown);
    await clock.advance(0);
    attempt.markSettling();
    await clock.advance(50);
    expect(await error).toBeInstanceOf(LeaseLostError);
    expect(statements).toHaveLength(1);
  });

  it('lose the lease of the attempt when another one owns the job', async () => {
    responses = [LOST];
    const attempt = begin();
    await expect(attempt.step('first', () => 1)).rejects.toThrow(LeaseLostError);
    expect(attempt.abortedFor).toBe('lease_lost');
    await expect(attempt.step('second', () => 2)).rejects.toThrow(LeaseLostError);
    expect(statements).toEqual([['first']]);
  });

  it('reject when the database refuses them', async () => {
    responses = [new DatabaseRefusedError('a trigger')];
    await expect(begin().step('first', () => 1)).rejects.toThrow(DatabaseRefusedError);
  });

  it('abort the attempt when a cancel was requested', async () => {
    responses = [{ ...HELD, cancelRequested: true }];
    const attempt = begin();
    expect(await attempt.step('first', () => 1)).toBe(1);
    expect(attempt.abortedFor).toBe('cancelled');
  });
});
