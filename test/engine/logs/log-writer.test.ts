import { DatabaseRefusedError, QueueUnavailableError } from '../../../lib/core/errors.js';
import type { LogText } from '../../../lib/core/job-log.js';
import type { ClaimToken } from '../../../lib/core/job.js';
import type { AttemptLog } from '../../../lib/engine/logs/log-writer.js';
import { LogWriter } from '../../../lib/engine/logs/log-writer.js';
import type { JobStore } from '../../../lib/store/job-store.js';
import type { LogSet } from '../../../lib/store/logs/log-store.js';
import { RecordingLogger } from '../../support/unit/recording-logger.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';
import { signal } from '../../support/wait.js';

interface LoggedAttempt {
  readonly claim: ClaimToken;
  lines: AttemptLog | undefined;
}

const KIBIBYTE = 1_024;

describe('the lines of running jobs', () => {
  let clock: VirtualClock;
  let logger: RecordingLogger;
  let writer: LogWriter;
  /** The messages of each statement, by job. */
  let statements: Record<string, string[]>[];
  let ages: number[];
  let respond: (sets: readonly LogSet[]) => Promise<void>;

  const open = (maxLines = 200): void => {
    const write = async (sets: readonly LogSet[]): Promise<void> => {
      await respond(sets);
      const messages = sets.map(({ token, lines }) => [token.id, lines.map(({ message }) => message)]);
      statements.push(Object.fromEntries(messages) as Record<string, string[]>);
      ages = sets.flatMap(({ lines }) => lines.map(({ ageMs }) => ageMs));
    };
    writer = new LogWriter({ store: { logs: { write } } as unknown as JobStore, clock, logger, logs: { maxLines } });
  };

  beforeEach(() => {
    clock = new VirtualClock();
    logger = new RecordingLogger();
    statements = [];
    ages = [];
    respond = () => Promise.resolve();
    open();
  });

  const begin = (id: string): LoggedAttempt => ({ claim: { id, attempt: 1 }, lines: undefined });
  const add = (attempt: LoggedAttempt, message: string): void =>
    writer.add(attempt, { level: 'info', message, data: null } satisfies LogText);
  const flush = (attempt: LoggedAttempt): Promise<unknown> | undefined => writer.flush(attempt.lines!);
  const warnings = (): string[] => logger.of('warn');

  it('cost no timer before the first line, and none after the last one is written', async () => {
    const attempt = begin('a');
    expect(clock.waiting).toBe(0);
    add(attempt, 'one');
    expect(clock.waiting).toBe(1);
    await clock.advance(1_000);
    expect(clock.waiting).toBe(0);
  });

  it('are written at most once a second, those of all jobs in one statement', async () => {
    const [first, second] = [begin('a'), begin('b')];
    for (let step = 0; step < 15; step += 1) {
      add(first, String(step));
      if (step === 3) add(second, 'b');
      await clock.advance(100);
    }
    expect(statements).toEqual([{ a: ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'], b: ['b'] }]);
    await clock.advance(500);
    expect(statements.slice(1)).toEqual([{ a: ['10', '11', '12', '13', '14'] }]);
    expect(ages).toEqual([1_000, 900, 800, 700, 600]);
  });

  it('are written at once when the attempt ends', async () => {
    const [first, second] = [begin('a'), begin('b')];
    add(first, 'one');
    add(second, 'two');
    await Promise.all([flush(first), flush(second)]);
    expect(statements).toEqual([{ a: ['one'], b: ['two'] }]);
  });

  it('delay the outcome also when the timer has taken them already', async () => {
    const response = signal();
    respond = () => response.promise;
    const attempt = begin('a');
    add(attempt, 'one');
    await clock.advance(1_000);
    let hasEnded = false;
    void flush(attempt)!.then(() => (hasEnded = true));
    await clock.settle();
    expect(hasEnded).toBe(false);
    response.resolve();
    await clock.settle();
    expect(hasEnded).toBe(true);
  });

  it('delay the outcome by a second at most', async () => {
    respond = () => new Promise(() => undefined);
    const attempt = begin('a');
    add(attempt, 'one');
    let hasEnded = false;
    void flush(attempt)!.then(() => (hasEnded = true));
    await clock.advance(1_000);
    expect(hasEnded).toBe(true);
  });

  it('wait for the end of an outage, which is logged once, and then do not delay outcomes', async () => {
    respond = () => Promise.reject(new QueueUnavailableError('the database is away'));
    const attempt = begin('a');
    add(attempt, 'one');
    await flush(attempt);
    add(attempt, 'two');
    expect(flush(attempt)).toBeUndefined();
    await clock.advance(3_000);
    expect(warnings()).toEqual([
      'lines of job.log could not be saved: the database is away; up to 8 MiB are kept and written later',
    ]);
    respond = () => Promise.resolve();
    await clock.advance(1_000);
    expect(statements).toEqual([{ a: ['one', 'two'] }]);
    expect(warnings()).toHaveLength(1);
  });

  it('are dropped above 8 MiB, oldest first, and the log says how many', async () => {
    respond = () => Promise.reject(new QueueUnavailableError('the database is away'));
    const jobs = Array.from({ length: 11 }, (_, index) => begin(String(index).padStart(2, '0')));
    const text = 'x'.repeat(4 * KIBIBYTE);
    jobs.forEach((job) => Array.from({ length: 200 }, () => add(job, text)));
    await clock.advance(2_000);
    respond = () => Promise.resolve();
    await writer.stop();
    const written = statements.flatMap((statement) => Object.values(statement).flat()).length;
    // Each line counts with its JSON.
    expect(written * text.length).toBeLessThan(8 * KIBIBYTE * KIBIBYTE);
    expect(written * text.length).toBeGreaterThan(7.5 * KIBIBYTE * KIBIBYTE);
    expect(warnings().slice(1)).toEqual([
      `dropped ${11 * 200 - written} lines of job.log: more than 8 MiB waited for the database`,
    ]);
  });

  it('are dropped when the database refuses them, those of other jobs are not', async () => {
    respond = async (sets) => {
      if (sets.some(({ token }) => token.id === 'bad')) throw new DatabaseRefusedError('no');
    };
    const [good, bad] = [begin('good'), begin('bad')];
    add(good, 'one');
    add(bad, 'two');
    await clock.advance(5_000);
    expect(statements).toEqual([{ good: ['one'] }]);
    expect(warnings()).toHaveLength(1);
    expect(clock.waiting).toBe(0);
  });

  it('are at most as many as the job keeps', async () => {
    open(3);
    const attempt = begin('a');
    Array.from({ length: 10 }, (_, index) => add(attempt, String(index)));
    await clock.advance(1_000);
    expect(statements).toEqual([{ a: ['7', '8', '9'] }]);
    expect(warnings()).toEqual([]);
  });

  it('are not stored when logs are off', async () => {
    open(0);
    const attempt = begin('a');
    add(attempt, 'one');
    expect(attempt.lines).toBeUndefined();
    expect(clock.waiting).toBe(0);
  });

  it('are written at shutdown', async () => {
    add(begin('a'), 'one');
    await writer.stop();
    expect(statements).toEqual([{ a: ['one'] }]);
    expect(clock.waiting).toBe(0);
  });
});
