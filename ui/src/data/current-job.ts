import type { Job } from '../../../client/index.js';
import { jobMoves } from './job-moves.svelte.js';

/** The job as a screen fetched it, or as the API answered to a move of it, whichever is newer. */
export function currentJob(job: Job): Job {
  const moved = jobMoves.moved.get(job.id);
  return moved && moved.updated > job.updated ? moved : job;
}
