import { InvalidOptionsError } from '../../lib/core/errors.js';
import type { RequeueOptions } from '../../lib/core/job-options.js';
import { readRequeueOptions } from '../../lib/core/job-options.js';
import { captureThrown } from '../support/unit/capture-thrown.js';

function catchError(given: unknown): InvalidOptionsError {
  const error = captureThrown(() => readRequeueOptions(given as RequeueOptions));
  expect(error).toBeInstanceOf(InvalidOptionsError);
  return error as InvalidOptionsError;
}

describe('requeue options', () => {
  const nothing = { payload: undefined, runAt: undefined, maxRetries: undefined, dependants: undefined };

  it('change nothing by default', () => {
    expect(readRequeueOptions()).toEqual(nothing);
    expect(readRequeueOptions({})).toEqual(nothing);
    expect(readRequeueOptions(nothing)).toEqual(nothing);
  });

  it.each([null, 0, '', false, {}, [1]])('accept the payload %j', (payload) => {
    expect(readRequeueOptions({ payload })).toEqual({ ...nothing, payload });
  });

  it.each([new Date('1970-01-01T00:00:00.000Z'), new Date('9999-12-31T23:59:59.999Z')])('accept runAt %j', (runAt) => {
    expect(readRequeueOptions({ runAt })).toEqual({ ...nothing, runAt });
  });

  it.each([0, 1_000])('accept maxRetries %d', (maxRetries) => {
    expect(readRequeueOptions({ maxRetries })).toEqual({ ...nothing, maxRetries });
  });

  it.each<[string, unknown]>([
    ['runAt', new Date('+010000-01-01T00:00:00.000Z')],
    ['runAt', new Date('1969-12-31T23:59:59.999Z')],
    ['runAt', new Date(NaN)],
    ['runAt', '2026-01-01'],
    ['runAt', null],
    ['maxRetries', -1],
    ['maxRetries', 1_001],
    ['maxRetries', 1.5],
    ['maxRetries', null],
  ])('reject a wrong option by name: %s %p', (option, value) => {
    expect(catchError({ [option]: value })).toMatchObject({ option });
  });

  it('reject an unknown name and a value that is not an object', () => {
    expect(catchError({ run_at: new Date() }).message).toBe("run_at: unknown option; did you mean 'runAt'?");
    expect(catchError({ priority: 1 }).message).toContain('known are payload, runAt, maxRetries');
    expect(catchError('now').message).toBe("options: expected an object, got 'now'");
  });
});
