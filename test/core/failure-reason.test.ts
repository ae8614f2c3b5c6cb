import { UnrecoverableError } from '../../lib/core/errors.js';
import { toFailure } from '../../lib/core/error-text.js';
import { explainFailure, readErrorName } from '../../lib/core/failure-reason.js';
import { Job } from '../../lib/core/job.js';

/** A job whose last attempt ended with this error. */
function failedJob(thrown: unknown, values: Partial<Job> = {}): Job {
  const failure = { ...toFailure(thrown), attempt: 1, started: null, finished: '', worker: null };
  return Object.assign(new Job(), {
    status: 'failed',
    attempt: 3,
    retries: 2,
    maxRetries: 2,
    errors: [failure],
    ...values,
  });
}

describe('the class of an error', () => {
  class PaymentDeclined extends Error {}
  class NamedLater extends Error {
    override readonly name = 'NamedLaterError';
  }

  it.each<[unknown, string | null]>([
    [new TypeError('x'), 'TypeError'],
    [new Error('x'), 'Error'],
    [new Error(), 'Error'],
    [new PaymentDeclined('no money'), 'PaymentDeclined'],
    [new NamedLater('no'), 'NamedLaterError'],
    [new PaymentDeclined(), 'PaymentDeclined'],
    [Object.assign(new Error('x'), { stack: 'Error [ERR_FAILED]: x\n    at a.js' }), 'Error'],
    [Object.assign(new TypeError('x'), { stack: 'TypeError [ERR_FAILED]: x\n    at a.js' }), 'TypeError'],
    [Object.assign(new Error('x'), { stack: 'it went wrong\n    at a.js' }), null],
    [Object.assign(new Error('x'), { stack: 7 }), null],
    ['a text', null],
  ])('of %p is %p', (thrown, name) => {
    expect(readErrorName(toFailure(thrown).stack)).toBe(name);
  });

  it('of a minified class is that of its parent', () => {
    const { stack } = toFailure(new (class e extends Error {})('x'));
    expect(readErrorName(stack)).toBe('Error');
  });
});

describe('why a job failed for good', () => {
  it('is that no retries are left', () => {
    const text = 'no retries left: 2 of 2 used';
    expect(explainFailure(failedJob(new Error('x')))).toEqual({ code: 'no_retries_left', text });
    const single = { retries: 0, maxRetries: 0 };
    expect(explainFailure(failedJob('x', single))?.text).toBe('no retries left: the job allows none');
  });

  it('is that the error allows no retry, with its cause', () => {
    const cause = new RangeError('amount');
    expect(explainFailure(failedJob(new UnrecoverableError('bad', { cause }), { retries: 0 }))).toEqual({
      code: 'unrecoverable',
      text: 'the error allows no retry: UnrecoverableError, caused by RangeError',
    });
    expect(explainFailure(failedJob(new UnrecoverableError('bad')))?.code).toBe('unrecoverable');
    expect(explainFailure(failedJob('no stack', { retries: 0 }))?.text).toBe('the error allows no retry');
  });

  it('is that the worker stopped in the last attempt', () => {
    expect(explainFailure(failedJob('x', { attempt: 3, rescuedAttempt: 3 }))).toEqual({
      code: 'lease_lost',
      text: 'the worker stopped during the last attempt; no retries left: 2 of 2 used',
    });
  });

  it('is that no retries are left when an earlier worker has stopped', () => {
    expect(explainFailure(failedJob('x', { attempt: 3, rescuedAttempt: 2 }))?.code).toBe('no_retries_left');
    // The text of an error decides nothing: a handler may throw any.
    const text = 'lease of attempt 3 lost: worker a stopped renewing it; its handler may have run';
    expect(explainFailure(failedJob(text, { attempt: 3, rescuedAttempt: null }))?.code).toBe('no_retries_left');
  });

  it('is null for a job that has not failed', () => {
    expect(explainFailure(failedJob('x', { status: 'cancelled' }))).toBeNull();
  });

  it('needs no errors, which redact may remove', () => {
    expect(explainFailure(failedJob('x', { errors: [] }))?.code).toBe('no_retries_left');
    expect(explainFailure(Object.assign(failedJob('x'), { errors: undefined }))?.code).toBe('no_retries_left');
  });
});
