import { DatabaseDeniedError, QueueUnavailableError, RowLockedError } from '../../../lib/core/errors.js';
import { FailureLog } from '../../../lib/engine/runtime/failure-log.js';
import { RecordingLogger } from '../../support/unit/recording-logger.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';

describe('the log of failures', () => {
  const away = new QueueUnavailableError('the database does not reply: refused', { cause: new Error('refused') });
  let clock: VirtualClock;
  let logger: RecordingLogger;
  let log: FailureLog;

  beforeEach(() => {
    clock = new VirtualClock();
    logger = new RecordingLogger();
    log = new FailureLog(clock, logger);
  });

  const lines = (): string[] => logger.lines.map(({ level, message }) => `${level}: ${message}`);

  it('has two lines for an outage, however many loops fail, and says how long it took', async () => {
    for (let pass = 0; pass < 3; pass += 1) {
      ['claiming', 'renewing', 'pruning'].forEach((name) => log.recordFailure(name, away));
      await clock.advance(1_000);
    }
    log.recordSuccess('renewing');
    await clock.advance(2_000);
    log.recordSuccess('claiming');
    log.recordSuccess('pruning');
    log.recordSuccess('pruning');
    expect(lines()).toEqual([
      'error: the database does not reply: refused (noticed by: claiming); retrying until the database is back',
      'log: the database is back; the outage lasted 3.0 s',
    ]);
    expect(logger.lines[0]!.stack).toBeUndefined();
  });

  it('does not end an outage while a loop still fails', async () => {
    log.recordFailure('claiming', away);
    log.recordFailure('renewing', away);
    log.recordSuccess('renewing');
    await clock.advance(500);
    log.recordFailure('renewing', away);
    await clock.advance(500);
    log.recordSuccess('claiming');
    expect(lines()).toHaveLength(1);
    log.recordSuccess('renewing');
    expect(lines()[1]).toBe('log: the database is back; the outage lasted 1.0 s');
  });

  it('does not wait for a loop that has stopped', async () => {
    log.recordFailure('claiming', away);
    log.recordFailure('renewing', away);
    log.recordSuccess('claiming');
    log.forget('renewing');
    expect(lines()[1]).toBe('log: the database is back; the outage lasted 0.0 s');
  });

  it('does not say that the database is back when all loops have stopped', () => {
    log.recordFailure('claiming', away);
    log.forget('claiming');
    expect(lines()).toHaveLength(1);
    log.recordFailure('claiming', away);
    expect(lines()).toHaveLength(2);
  });

  it.each([
    ['a locked row', new RowLockedError('locked')],
    ['a missing privilege', new DatabaseDeniedError('denied')],
    ['a defect', new TypeError('wrong')],
  ])('has a line for each loop that fails for another reason: %s', (_reason, error) => {
    ['claiming', 'pruning'].forEach((name) => log.recordFailure(name, error));
    log.recordFailure('claiming', error);
    log.recordFailure('claiming', away);
    ['claiming', 'pruning'].forEach((name) => log.recordSuccess(name));
    expect(lines()).toEqual([
      `error: claiming: failed, retrying: ${error.message}`,
      `error: pruning: failed, retrying: ${error.message}`,
      'error: the database does not reply: refused (noticed by: claiming); retrying until the database is back',
      'log: claiming: recovered',
      'log: the database is back; the outage lasted 0.0 s',
      'log: pruning: recovered',
    ]);
  });

  it('has the stack of a defect, but not of an error of the queue', () => {
    log.recordFailure('claiming', new TypeError('wrong'));
    log.recordFailure('pruning', new DatabaseDeniedError('denied'));
    expect(logger.lines.map(({ stack }) => stack)).toEqual([expect.stringContaining('TypeError: wrong'), undefined]);
  });
});
