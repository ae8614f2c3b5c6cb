import type { JobEvent } from '../core/job-events.js';
import type { JobsLogger } from '../core/logger.js';
import type { ActionResult } from '../store/store-records.js';

/** The operation log: one debug line per transition, and a warning for each job that failed for good. No payloads. */
export function logOperation(logger: JobsLogger, event: JobEvent): void {
  if (event.type === 'failed') {
    logger.warn(`${lineOf(event)}: ${event.error.message}`);
  } else if (logger.isDebugEnabled?.() ?? true) {
    logger.debug(lineOf(event));
  }
}

/** The same for what somebody did to a job by hand, for which there is no event. */
export function logMove(logger: JobsLogger, verb: string, { id, topic, attempt }: ActionResult): void {
  if (logger.isDebugEnabled?.() ?? true) {
    logger.debug(`${verb} ${topic} ${id} attempt ${attempt}`);
  }
}

function lineOf(event: JobEvent): string {
  const verb = event.type === 'snoozed' && event.reason === 'release' ? 'released' : event.type;
  const job = `${verb} ${event.topic} ${event.id}`;
  switch (event.type) {
    case 'enqueued':
      return `${job}${event.deduplicated ? ' (was there already)' : ''} due ${event.runAt.toISOString()}`;
    case 'started':
      return `${job} attempt ${event.attempt} after ${rounded(event.waitedMs)} ms of waiting`;
    case 'rescued':
      return `${job} attempt ${event.attempt} retries ${event.retries}`;
    default: {
      const time = event.durationMs === null ? '' : ` in ${rounded(event.durationMs)} ms`;
      const next = event.type === 'retrying' || event.type === 'snoozed' ? ` next ${event.runAt.toISOString()}` : '';
      const error = event.type === 'retrying' ? ` (${event.error.message})` : '';
      return `${job} attempt ${event.attempt}${time}${next}${error}`;
    }
  }
}

function rounded(ms: number): number {
  return Math.round(ms * 10) / 10;
}
