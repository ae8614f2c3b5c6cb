import type { JobsErrorCode } from '../../lib/core/errors.js';
import { describeValue, toErrorMessage } from '../../lib/core/error-text.js';
import * as publicNames from '../../lib/index.js';
import { HOSTILE_VALUES } from '../support/unit/hostile-values.js';

const {
  DatabaseRefusedError,
  GroupNotFoundError,
  IdempotencyConflictError,
  IdleTimeoutError,
  InvalidOptionsError,
  InvalidPayloadError,
  Job,
  JobAbortedError,
  JobFailedError,
  JobNotFoundError,
  JobsError,
  JobStateError,
  LeaseLostError,
  MissingKeyError,
  PayloadTooLargeError,
  QueueUnavailableError,
  ScheduleNotFoundError,
  ScheduleStateError,
  SnoozeError,
  UnknownDataSourceError,
  UnrecoverableError,
  WaitTimeoutError,
} = publicNames;

const cause = new Error('cause');

/** Programs compare codes: a change in this table breaks users. */
const CODES: readonly (readonly [string, JobsErrorCode, InstanceType<typeof JobsError>])[] = [
  ['PayloadTooLargeError', 'PAYLOAD_TOO_LARGE', new PayloadTooLargeError('payload', 2, 1)],
  ['InvalidPayloadError', 'INVALID_PAYLOAD', new InvalidPayloadError('payload.a', 'is bad')],
  ['InvalidOptionsError', 'INVALID_OPTIONS', new InvalidOptionsError('lease', 'is bad')],
  ['JobNotFoundError', 'JOB_NOT_FOUND', new JobNotFoundError('7')],
  ['JobStateError', 'JOB_STATE', new JobStateError('7', 'is running')],
  ['LeaseLostError', 'LEASE_LOST', new LeaseLostError('7', 2)],
  ['MissingKeyError', 'MISSING_KEY', new MissingKeyError('2026-01')],
  ['UnknownDataSourceError', 'UNKNOWN_DATA_SOURCE', new UnknownDataSourceError('another')],
  ['QueueUnavailableError', 'QUEUE_UNAVAILABLE', new QueueUnavailableError('away')],
  ['UnrecoverableError', 'UNRECOVERABLE', new UnrecoverableError('never')],
  ['SnoozeError', 'SNOOZE', new SnoozeError('5m')],
  ['JobAbortedError', 'JOB_ABORTED', new JobAbortedError('timeout', 'too long')],
  ['IdleTimeoutError', 'IDLE_TIMEOUT', new IdleTimeoutError('busy')],
  ['JobFailedError', 'JOB_FAILED', new JobFailedError(Object.assign(new Job(), { id: '7', lastError: null }))],
  ['WaitTimeoutError', 'WAIT_TIMEOUT', new WaitTimeoutError('7', 1_000)],
  ['IdempotencyConflictError', 'IDEMPOTENCY_CONFLICT', new IdempotencyConflictError('a')],
  ['DatabaseRefusedError', 'DATABASE_REFUSED', new DatabaseRefusedError('no')],
  ['GroupNotFoundError', 'GROUP_NOT_FOUND', new GroupNotFoundError('7')],
  ['ScheduleNotFoundError', 'SCHEDULE_NOT_FOUND', new ScheduleNotFoundError('nightly')],
  ['ScheduleStateError', 'SCHEDULE_STATE', new ScheduleStateError('nightly', 'is declared')],
];

describe('an error class of this package', () => {
  it.each(CODES)('%s has the code %s, its class name and the base class JobsError', (name, code, error) => {
    expect(error.code).toBe(code);
    expect(error.name).toBe(name);
    expect(error).toBeInstanceOf(JobsError);
    expect(error).toBeInstanceOf(Error);
    expect(error.stack).toContain(name);
  });

  it('is listed in the table of codes if it is exported', () => {
    const exported = Object.entries(publicNames)
      .filter(([, value]) => typeof value === 'function' && value.prototype instanceof JobsError)
      .map(([name]) => name);

    expect(exported.sort()).toEqual(CODES.map(([name]) => name).sort());
  });

  it('has a unique code', () => {
    const codes = CODES.map(([, code]) => code);

    expect(new Set(codes).size).toBe(codes.length);
  });

  it("keeps the name of an application's subclass", () => {
    class CardDeclinedError extends UnrecoverableError {}

    expect(new CardDeclinedError('declined')).toMatchObject({ name: 'CardDeclinedError', code: 'UNRECOVERABLE' });
  });

  it.each([
    ['InvalidPayloadError', new InvalidPayloadError('payload', 'is bad', { cause })],
    ['InvalidOptionsError', new InvalidOptionsError('lease', 'is bad', { cause })],
    ['UnknownDataSourceError', new UnknownDataSourceError('another', { cause })],
    ['QueueUnavailableError', new QueueUnavailableError('away', { cause })],
    ['UnrecoverableError', new UnrecoverableError('never', { cause })],
  ])('keeps its cause: %s', (_name, error) => {
    expect(error.cause).toBe(cause);
  });

  it('has the facts of its message as properties', () => {
    expect(new PayloadTooLargeError('metadata', 70_000, 65_536)).toMatchObject({
      subject: 'metadata',
      bytes: 70_000,
      bytesMax: 65_536,
      message: 'metadata must be at most 65536 bytes of JSON text, got 70000',
    });
    expect(new InvalidPayloadError('payload.a', 'is bad')).toMatchObject({
      path: 'payload.a',
      reason: 'is bad',
      message: 'payload.a: is bad',
    });
    expect(new InvalidOptionsError('lease', 'is bad')).toMatchObject({ option: 'lease', message: 'lease: is bad' });
    expect(new JobNotFoundError('7')).toMatchObject({ id: '7', message: 'there is no job 7' });
    expect(new JobStateError('7', 'key is taken', '8')).toMatchObject({
      id: '7',
      holderId: '8',
      message: 'job 7: key is taken',
    });
    expect(new LeaseLostError('7', 2)).toMatchObject({ id: '7', attempt: 2 });
    expect(new SnoozeError(500)).toMatchObject({ delay: 500, message: 'snoozed for 500' });
    expect(new SnoozeError('5m', 'no paper')).toMatchObject({ delay: '5m', message: 'no paper' });
    expect(new JobAbortedError('shutdown', 'bye')).toMatchObject({ reason: 'shutdown', message: 'bye' });
  });

  it('has isUncertain false by default', () => {
    expect(new QueueUnavailableError('away').isUncertain).toBe(false);
    expect(new QueueUnavailableError('away', { isUncertain: true }).isUncertain).toBe(true);
  });
});

describe('a message about a value', () => {
  it.each<[unknown, string]>([
    ['text', "'text'"],
    ['', "''"],
    ['x'.repeat(60), `'${'x'.repeat(60)}'`],
    ['x'.repeat(61), `'${'x'.repeat(60)}…'`],
    [() => 1, 'a function'],
    [[1], 'an array'],
    [{ secret: 1 }, 'an object'],
    [new Date(NaN), 'an invalid date'],
    [null, 'null'],
    [undefined, 'undefined'],
    [1.5, '1.5'],
    [NaN, 'NaN'],
    [10n, '10'],
    [true, 'true'],
    [Symbol('s'), 'Symbol(s)'],
  ])('describes %p as %s', (value, description) => {
    expect(describeValue(value)).toBe(description);
  });

  it('describes a valid date', () => {
    expect(describeValue(new Date(0))).toContain('1970-01-01T00:00:00.000Z');
  });

  it.each(HOSTILE_VALUES)('never throws for %s', (_name, value) => {
    expect(typeof describeValue(value)).toBe('string');
  });

  it('is the message of an error or a description of a thrown value', () => {
    expect([new Error('bad'), new RangeError(), 'text', 7, { a: 1 }].map(toErrorMessage)).toEqual(
      ['bad', 'RangeError', 'text', 'thrown value: 7', 'thrown value: an object'], //
    );
  });
});
