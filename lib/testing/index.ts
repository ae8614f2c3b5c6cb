/*
 * testing/: the entry `nestjs-jobs/testing`. In: calls of a test. Out: jobs that ran, and expectations.
 * Read jobs-testing.ts (the methods) first, then testing-engine.ts (how jobs run without a loop), expectations.ts, and
 * jobs-testing.module.ts, which joins them to the application.
 */
export { provideJobs } from '../nest/job-queue.js';
export { JobsTestingModule } from './jobs-testing.module.js';
export type { JobsTestingOptions } from './jobs-testing.module.js';
export { JobsTesting } from './jobs-testing.js';
export type { HandlerRunOptions, RunPendingOptions } from './run-options.js';
export type { ExpectedJob, PartialPayload } from './expectations.js';
