import { DatabaseRefusedError, QueueUnavailableError } from '../../../lib/core/errors.js';
import type { Claim } from '../../../lib/core/job.js';
import { Attempt } from '../../../lib/engine/run/attempt.js';
import { ProgressWriter } from '../../../lib/engine/run/progress-writer.js';
import type { JobStore } from '../../../lib/store/job-store.js';
import type { ClaimState, ProgressEntry } from '../../../lib/store/jobs/job-records.js';
import { HELD } from '../../support/job-rows.js';
import { RecordingLogger } from '../../support/unit/recording-logger.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';

describe('the progress of running jobs', () => {
  let clock: VirtualClock;
  let logger: RecordingLogger;
  let writer: ProgressWriter;
  /** The values of each statement, by job. */
  let statements: Record<string, string>[];
  let respond: (entry: ProgressEntry) => ClaimState | Error;

  beforeEach(() => {
    clock = new VirtualClock();
    logger = new RecordingLogger();
    statements = [];
    respond = () => HELD;
    const recordProgress: JobStore['recordProgress'] = async (entries) => {
      statements.push(Object.fromEntries(entries.map(({ token, progress }) => [token.id, progress])));
      return entries.map((entry) => {
        const response = respond(entry);
        if (response instanceof Error) throw response;
        return response;
      });
    };
    writer = new ProgressWriter({ store: { recordProgress } as JobStore, clock, logger });
  });

  const begin = (id: string): Attempt => {
    const stepWriter = { read: () => Promise.resolve([]), write: () => Promise.resolve() };
    const parts = {
      store: {} as JobStore,
      clock,
      logger,
      progressWriter: writer,
      logWriter: { add: () => undefined },
      stepWriter,
    };
    return new Attempt({ id, attempt: 1 } as Claim, parts, 0, Infinity);
  };

  it('costs no timer before the first value, and none after the last one is written', async () => {
    const attempt = begin('a');
    expect(clock.waiting).toBe(0);
    await attempt.progress(1);
    expect(clock.waiting).toBe(1);
    await clock.advance(1_000);
    expect(clock.waiting).toBe(0);
  });

  it('is written at most once a second, with the latest value of each job in one statement', async () => {
    const [first, second] = [begin('a'), begin('b')];
    for (let step = 0; step < 25; step += 1) {
      await first.progress(step);
      if (step === 3) await second.progress('b');
      await clock.advance(100);
    }
    await clock.advance(1_000);
    expect(statements).toEqual([{ a: '9', b: '"b"' }, { a: '19' }, { a: '24' }]);
  });

  it('is written again when the value changed while a statement was under way', async () => {
    const attempt = begin('a');
    respond = () => {
      void attempt.progress(2);
      respond = () => HELD;
      return HELD;
    };
    await attempt.progress(1);
    await clock.advance(3_000);
    expect(statements).toEqual([{ a: '1' }, { a: '2' }]);
  });

  it('keeps a value that the handler passes again while it is written', async () => {
    const attempt = begin('a');
    respond = () => {
      void attempt.progress(1);
      return HELD;
    };
    await attempt.progress(1);
    await clock.advance(3_000);
    expect(statements).toEqual([{ a: '1' }]);
  });

  it('is not written after the attempt has ended', async () => {
    const attempt = begin('a');
    await attempt.progress(1);
    attempt.markSettling();
    await clock.advance(5_000);
    expect(statements).toEqual([]);
    expect(clock.waiting).toBe(0);
  });

  it('is tried again each second while the row is locked', async () => {
    respond = () => ({ state: 'locked', cancelRequested: false });
    const attempt = begin('a');
    await attempt.progress(1);
    await clock.advance(2_000);
    respond = () => HELD;
    await clock.advance(5_000);
    expect(statements).toEqual([{ a: '1' }, { a: '1' }, { a: '1' }]);
    expect(logger.lines).toEqual([]);
  });

  it('is kept in an outage, which is logged once', async () => {
    respond = () => new QueueUnavailableError('no reply');
    const attempts = ['a', 'b'].map(begin);
    await Promise.all(attempts.map((attempt) => attempt.progress(1)));
    await clock.advance(3_000);
    await attempts[0]!.progress(2);
    respond = () => HELD;
    await clock.advance(1_000);
    expect(statements.at(-1)).toEqual({ a: '2', b: '1' });
    expect(logger.of('warn')).toEqual([
      'progress of 2 jobs could not be saved: no reply; the latest values are kept and written later',
    ]);
  });

  it('of one job that the database refuses is dropped, and the values of others are written', async () => {
    respond = ({ token }) => (token.id === 'b' ? new DatabaseRefusedError('no') : HELD);
    const [first, second] = [begin('a'), begin('b')];
    await Promise.all([first.progress(1), second.progress(1)]);
    await clock.advance(3_000);
    expect([first.unsavedProgress, second.unsavedProgress]).toEqual([undefined, undefined]);
    expect(statements).toEqual([{ a: '1', b: '1' }, { a: '1' }, { b: '1' }]);
    expect(logger.of('warn')).toEqual([
      'progress of 1 job could not be saved: no; the database refused them, and they are dropped',
    ]);
  });

  it('aborts the attempt when the lease is lost or a cancel was requested', async () => {
    respond = ({ token }) => ({ state: token.id === 'a' ? 'lost' : 'held', cancelRequested: token.id === 'b' });
    const [first, second] = [begin('a'), begin('b')];
    await Promise.all([first.progress(1), second.progress(1)]);
    await clock.advance(1_000);
    expect([first.abortedFor, second.abortedFor]).toEqual(['lease_lost', 'cancelled']);
  });

  it('schedules nothing after a stop', async () => {
    await begin('a').progress(1);
    await writer.stop();
    await begin('b').progress(1);
    await clock.advance(5_000);
    expect(statements).toEqual([]);
    expect(clock.waiting).toBe(0);
  });
});
