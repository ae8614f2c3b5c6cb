import { InvalidOptionsError } from '../../lib/core/errors.js';
import type { RequeueOptions } from '../../lib/core/job-options.js';
import { readRequeueOptions } from '../../lib/core/job-options.js';
import { thrownBy } from '../support/unit/thrown.js';

function refusalOf(given: unknown): InvalidOptionsError {
  const error = thrownBy(() => readRequeueOptions(given as RequeueOptions));
  expect(error).toBeInstanceOf(InvalidOptionsError);
  return error as InvalidOptionsError;
}

describe('what may be changed when a job is re-queued', () => {
  const nothing = { payload: undefined, runAt: undefined, maxRetries: undefined };

  it('is nothing by default', () => {
    expect(readRequeueOptions()).toEqual(nothing);
    expect(readRequeueOptions({})).toEqual(nothing);
    expect(readRequeueOptions(nothing)).toEqual(nothing);
  });

  it.each([null, 0, '', false, {}, [1]])('is its payload: %j', (payload) => {
    expect(readRequeueOptions({ payload })).toEqual({ ...nothing, payload });
  });

  it.each([new Date('1970-01-01T00:00:00.000Z'), new Date('9999-12-31T23:59:59.999Z')])(
    'is when it is due: %j',
    (runAt) => {
      expect(readRequeueOptions({ runAt })).toEqual({ ...nothing, runAt });
    },
  );

  it.each([0, 1_000])('is how often it may be retried: %d', (maxRetries) => {
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
  ])('is refused by name when it is wrong: %s %p', (option, value) => {
    expect(refusalOf({ [option]: value })).toMatchObject({ option });
  });

  it('is refused under an unknown name, and when it is no object', () => {
    expect(refusalOf({ run_at: new Date() }).message).toBe("run_at: unknown option; did you mean 'runAt'?");
    expect(refusalOf({ priority: 1 }).message).toContain('known are payload, runAt, maxRetries');
    expect(refusalOf('now').message).toBe("options: expected an object, got 'now'");
  });
});
