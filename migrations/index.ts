import { CreateJobs1736500000000 } from './1736500000000-create-jobs.js';
export type { Migration, MigrationRunner } from './migration.js';

/** The migrations of the queue's tables, oldest first, for applications that run them themselves with TypeORM. */
export const jobsMigrations = [CreateJobs1736500000000];
