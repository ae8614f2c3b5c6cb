import { CreateJobs1736500000000 } from './1736500000000-create-jobs.js';

/** The migrations of the queue's tables, oldest first, for applications that run them themselves. */
export const jobsMigrations = [CreateJobs1736500000000];
