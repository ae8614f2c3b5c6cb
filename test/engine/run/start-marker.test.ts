import { QueueUnavailableError, RowLockedError } from '../../../lib/core/errors.js';
import type { Claim } from '../../../lib/core/job.js';
import { silentLogger } from '../../../lib/core/logger.js';
import type { AttemptParts } from '../../../lib/engine/run/attempt.js';
import { Attempt } from '../../../lib/engine/run/attempt.js';
import { StartMarker } from '../../../lib/engine/run/start-marker.js';
import type { ClaimState } from '../../../lib/store/store-records.js';
import type { JobStore } from '../../../lib/store/job-store.js';
import { ALONE } from '../../../lib/store/job-store.js';
import { SqlError } from '../../../lib/store/sql-error.js';
import { RecordingLogger } from '../../support/unit/recording-logger.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';

type Answer = ClaimState | Error;

const held: ClaimState = { state: 'held', cancelRequested: false };
const busy: ClaimState = { state: 'busy', cancelRequested: false };

describe('the beginning of an attempt at its last chance', () => {
  let clock: VirtualClock;
  let logger: RecordingLogger;
  /** What the database says, ask by ask; the last of them for ever. */
  let answers: Answer[];
  let asked: string[][];
  let told: string[];
  let beginnings: StartMarker;

  const begin = async (tokens: readonly { id: string }[]): Promise<ClaimState[]> => {
    asked.push(tokens.map(({ id }) => id));
    const answer = answers.length > 1 ? answers.shift()! : answers[0]!;
    if (answer instanceof Error) {
      throw answer;
    }
    return tokens.map(() => answer);
  };

  const attemptOf = (id: string): Attempt => {
    const parts = { logger: silentLogger } as unknown as AttemptParts;
    return new Attempt({ id, attempt: 1, topic: 'mail' } as Claim, parts, 0, 60_000);
  };

  const note = async (...attempts: readonly Attempt[]): Promise<void> => {
    attempts.forEach((attempt) => beginnings.note(attempt));
    await clock.settle();
  };

  beforeEach(() => {
    clock = new VirtualClock();
    logger = new RecordingLogger();
    asked = [];
    told = [];
    answers = [held];
    beginnings = new StartMarker({
      store: { markStarted: begin, capabilities: { pipelined: ALONE } } as unknown as JobStore,
      clock,
      logger,
      random: () => 1,
      onDecided: () => {
        const { id, abortedFor = 'nothing' } = beginnings.shift()!;
        told.push(`${id} noted, told to end for ${abortedFor}`);
      },
      onRefused: ({ id }) => told.push(`${id} refused`),
    });
  });

  it('is noted together with those of the same turn', async () => {
    await note(attemptOf('a'), attemptOf('b'));
    expect(asked).toEqual([['a', 'b']]);
    expect(told).toEqual(['a noted, told to end for nothing', 'b noted, told to end for nothing']);
  });

  it('takes note of where the row is now', async () => {
    const attempt = attemptOf('a');
    answers = [{ ...held, rowRef: '(7,1)' }];
    await note(attempt);
    expect(attempt.claim).toMatchObject({ id: 'a', attempt: 1, rowRef: '(7,1)' });
  });

  it('waits no second time for whoever has its row locked', async () => {
    const attempt = attemptOf('a');
    attempt.setRowRef('(7,1)');
    answers = [busy];
    await note(attempt);
    expect(attempt.claim.rowRef).toBeUndefined();
  });

  it('is told of when its row has been locked for long, once', async () => {
    const attempt = attemptOf('a');
    answers = [new QueueUnavailableError('the database does not answer'), busy];
    await note(attempt);
    await clock.advance(9_000);
    expect(logger.of('warn')).toEqual([]);
    await clock.advance(30_000);
    expect(logger.of('warn')).toEqual([expect.stringMatching(/^job a of 'mail' has a slot and cannot begin/)]);
  });

  it('is asked for less and less often while the database is away', async () => {
    answers = [new QueueUnavailableError('the database does not answer')];
    await note(attemptOf('a'));
    await clock.advance(60_000);
    expect(asked.length).toBeLessThan(20);
    expect(logger.lines).toHaveLength(0);
  });

  it.each<[string, Answer]>([
    ['somebody has its row locked', busy],
    ['the database is away', new QueueUnavailableError('the database does not answer', { isUncertain: true })],
    ['the statement has waited too long for a lock', new RowLockedError('a lock')],
  ])('is asked for again while %s', async (_case, answer) => {
    answers = [answer, answer, held];
    await note(attemptOf('a'));
    expect(told).toEqual([]);
    await clock.advance(1_000);
    expect(told).toEqual(['a noted, told to end for nothing']);
    expect(asked).toHaveLength(3);
    expect(logger.lines).toHaveLength(0);
  });

  it.each<[string, Answer, string]>([
    ['another attempt owns the job', { state: 'lost', cancelRequested: false }, 'lease_lost'],
    ['somebody asked to cancel it', { state: 'held', cancelRequested: true }, 'cancelled'],
    ['that was asked while its row was locked', { state: 'busy', cancelRequested: true }, 'cancelled'],
  ])('ends the attempt when %s', async (_case, answer, reason) => {
    answers = [answer];
    await note(attemptOf('a'));
    await clock.advance(1_000);
    expect(told).toEqual([`a noted, told to end for ${reason}`]);
  });

  it('is not waited for any more when the lease has ended meanwhile', async () => {
    const attempt = attemptOf('a');
    answers = [new QueueUnavailableError('the database does not answer')];
    await note(attempt);
    attempt.loseLease();
    await clock.advance(1_000);
    expect(told).toEqual(['a noted, told to end for lease_lost']);
    expect(asked).toHaveLength(1);
  });

  it('is not waited for any more when the process ends', async () => {
    answers = [busy];
    await note(attemptOf('a'));
    beginnings.windUp();
    await clock.advance(1_000);
    expect(told).toEqual(['a noted, told to end for shutdown']);
  });

  it('does not begin what is refused, which the log tells', async () => {
    answers = [new SqlError('refused', 'a trigger says no', {})];
    await note(attemptOf('a'));
    await note(attemptOf('b'));
    expect(told).toEqual(['a refused', 'b refused']);
    expect(logger.of('error')).toEqual([
      expect.stringMatching(/refuses to note that jobs begin .*: .*a trigger says no/),
    ]);
  });
});
