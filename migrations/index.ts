import { CreateJobs1736500000000 } from './1736500000000-create-jobs.js';
import { PauseTopics1795700000000 } from './1795700000000-pause-topics.js';
import { MarkBeginnings1795800000000 } from './1795800000000-mark-beginnings.js';

/** The migrations of the queue's own tables, oldest first, for applications that run them themselves. */
export const jobsMigrations = [CreateJobs1736500000000, PauseTopics1795700000000, MarkBeginnings1795800000000];
