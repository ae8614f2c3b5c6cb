import type { Duration, EnqueueOptions, JobsOptions } from 'nestjs-jobs';
import { SnoozeError } from 'nestjs-jobs';
import type { EnqueueOptions as ClientOptions } from 'nestjs-jobs/client';

// Checked only by the compiler, in `npm run check:types`: an expected error that does not occur is an error.

export const durations: Duration[] = [0, 1.5, '250ms', '30s', '10m', '1.5h', '7d'];

export const options: [JobsOptions, EnqueueOptions, ClientOptions] = [
  { timeout: '10m', retention: { completed: '7d', failed: false }, backoff: { delay: '1m' } },
  { delay: '5m' },
  { delay: '5m' },
];

export const wrong: [JobsOptions, EnqueueOptions, ClientOptions, EnqueueOptions] = [
  // @ts-expect-error -- no unit
  { lease: '30' },
  // @ts-expect-error -- an unknown unit
  { delay: '5 minutes' },
  // @ts-expect-error -- an unknown unit
  { delay: '1w' },
  // @ts-expect-error -- a unit alone
  { timeout: 's' },
];

// @ts-expect-error -- an unknown unit
export const snooze = new SnoozeError('2 hours');

/** Text of the configuration is checked at the start of the application. */
export const configured: JobsOptions = { timeout: (process.env['JOBS_TIMEOUT'] ?? '10m') as Duration };
