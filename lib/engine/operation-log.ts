import type { JobEvent } from '../core/job-events.js';
import type { EngineParts } from './engine-parts.js';
import type { ActionResult } from '../store/store-records.js';

type OperationLogParts = Pick<EngineParts, 'logger' | 'operationLog'>;

/** Logs one debug line per transition, and a warning for each job that failed for good. Never logs payloads. */
export function logOperation(parts: OperationLogParts, event: JobEvent): void {
  if (event.type === 'failed') {
    parts.logger.warn(`${describe(event)}: ${event.error.message}`);
  } else if (isWanted(parts)) {
    parts.logger.debug(describe(event));
  }
}

/** Logs an action of a user, which has no event. */
export function logAction(parts: OperationLogParts, verb: string, { id, topic, attempt }: ActionResult): void {
  if (isWanted(parts)) {
    parts.logger.debug(`${verb} ${topic} ${id} attempt ${attempt}`);
  }
}

function isWanted({ logger, operationLog }: OperationLogParts): boolean {
  return operationLog && (logger.isDebugEnabled?.() ?? true);
}

function describe(event: JobEvent): string {
  const verb = event.type === 'snoozed' && event.reason === 'release' ? 'released' : event.type;
  const job = `${verb} ${event.topic} ${event.id}`;
  switch (event.type) {
    case 'enqueued':
      return `${job}${event.deduplicated ? ' (already enqueued)' : ''} due ${event.runAt.toISOString()}`;
    case 'replaced':
      return `${job} due ${event.runAt.toISOString()}`;
    case 'started':
      return `${job} attempt ${event.attempt} after ${toTenths(event.waitedMs)} ms of waiting`;
    case 'rescued':
      return `${job} attempt ${event.attempt} retries ${event.retries}`;
    default: {
      const time = event.durationMs === null ? '' : ` in ${toTenths(event.durationMs)} ms`;
      const next = event.type === 'retrying' || event.type === 'snoozed' ? ` next ${event.runAt.toISOString()}` : '';
      const error = event.type === 'retrying' ? ` (${event.error.message})` : '';
      return `${job} attempt ${event.attempt}${time}${next}${error}`;
    }
  }
}

function toTenths(ms: number): number {
  return Math.round(ms * 10) / 10;
}
