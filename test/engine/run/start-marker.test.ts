import { QueueUnavailableError, RowLockedError } from '../../../lib/core/errors.js';
import type { Claim } from '../../../lib/core/job.js';
import { silentLogger } from '../../../lib/core/logger.js';
import type { AttemptParts } from '../../../lib/engine/run/attempt.js';
import { Attempt } from '../../../lib/engine/run/attempt.js';
import { StartMarker } from '../../../lib/engine/run/start-marker.js';
import type { JobStore } from '../../../lib/store/job-store.js';
import type { ClaimState } from '../../../lib/store/jobs/job-records.js';
import { SqlError } from '../../../lib/store/runtime/sql-error.js';
import { RecordingLogger } from '../../support/unit/recording-logger.js';

const held: ClaimState = { state: 'held', cancelRequested: false };

describe('the start marker', () => {
  let logger: RecordingLogger;
  let response: ClaimState | Error;
  let sets: string[][];
  let marker: StartMarker;

  const toAttempt = (id: string): Attempt =>
    new Attempt({ id, attempt: 1, topic: 'mail' } as Claim, { logger: silentLogger } as unknown as AttemptParts, 0, 1);

  beforeEach(() => {
    logger = new RecordingLogger();
    sets = [];
    response = held;
    const markStarted: JobStore['markStarted'] = async (tokens) => {
      sets.push(tokens.map(({ id }) => id));
      if (response instanceof Error) throw response;
      return tokens.map(() => response as ClaimState);
    };
    marker = new StartMarker({ store: { markStarted } as unknown as JobStore, logger });
  });

  it('marks the attempts of one turn in one statement', async () => {
    expect(await Promise.all(['a', 'b'].map((id) => marker.mark(toAttempt(id))))).toEqual([true, true]);
    expect(sets).toEqual([['a', 'b']]);
  });

  it('keeps the new row reference', async () => {
    const attempt = toAttempt('a');
    response = { ...held, rowRef: '(7,1)' };
    await marker.mark(attempt);
    expect(attempt.claim).toMatchObject({ id: 'a', attempt: 1, rowRef: '(7,1)' });
  });

  it('cancels the attempt when a cancel was requested', async () => {
    const attempt = toAttempt('a');
    response = { state: 'held', cancelRequested: true };
    expect(await marker.mark(attempt)).toBe(true);
    expect(attempt.abortedFor).toBe('cancelled');
  });

  it.each<[string, ClaimState | Error]>([
    ['the row is locked', { state: 'locked', cancelRequested: false }],
    ['another attempt owns the job', { state: 'lost', cancelRequested: false }],
    ['the database is unavailable', new QueueUnavailableError('no connection', { isUncertain: true })],
    ['the statement waited too long for a lock', new RowLockedError('a lock')],
  ])('does not mark when %s', async (_case, given) => {
    response = given;
    expect(await marker.mark(toAttempt('a'))).toBe(false);
    expect(logger.lines).toHaveLength(0);
  });

  it('logs once that the database refuses, until it marks again', async () => {
    response = new SqlError('refused', 'a trigger says no', {});
    expect(await marker.mark(toAttempt('a'))).toBe(false);
    expect(await marker.mark(toAttempt('b'))).toBe(false);
    expect(logger.of('error')).toEqual([expect.stringContaining('a trigger says no')]);
    response = held;
    await marker.mark(toAttempt('c'));
    response = new SqlError('refused', 'a trigger says no', {});
    await marker.mark(toAttempt('d'));
    expect(logger.of('error')).toHaveLength(2);
  });
});
