import type { Verb } from '../verb.js';
import { doctor } from './doctor.js';
import { cancel, deleteJobs, requeue } from './change-jobs.js';
import { list, show } from './show-jobs.js';
import { limitVerbs } from './limits.js';
import { migrate } from './migrate.js';
import { prune } from './prune.js';
import { scheduleVerbs } from './schedules.js';
import { status } from './status.js';
import { pause, resume } from './topics.js';

/** The verbs of the command, in the order of its help. */
export const VERBS: readonly Verb[] = [
  migrate,
  status,
  list,
  show,
  requeue,
  cancel,
  deleteJobs,
  pause,
  resume,
  prune,
  ...scheduleVerbs,
  ...limitVerbs,
  doctor,
];
