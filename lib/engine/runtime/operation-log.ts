import type { Failure } from '../../core/error-text.js';
import type { LogFields } from '../../core/logger.js';
import type { JobEvent } from '../../core/job-events.js';
import type { EngineParts } from './engine-parts.js';
import type { ActionResult } from '../../store/jobs/job-records.js';
import { isNeverDue } from '../../store/links/link-store.js';

type OperationLogParts = Pick<EngineParts, 'logger' | 'operationLog'>;

/** Logs one debug line per transition, and a warning for each job that failed for good. Never logs payloads. */
export function logOperation(parts: OperationLogParts, event: JobEvent): void {
  if (event.type === 'failed') {
    parts.logger.warn(`${describe(event)}: ${event.error.message}`, () => toFields(event));
  } else if (isWanted(parts)) {
    parts.logger.debug(describe(event), () => toFields(event));
  }
}

/** Logs an action of a user, which has no event. */
export function logAction(parts: OperationLogParts, verb: string, { id, topic, attempt }: ActionResult): void {
  if (isWanted(parts)) {
    parts.logger.debug(`${verb} ${topic} ${id} attempt ${attempt}`, () => ({
      event: verb,
      topic: topic ?? '',
      job_id: id,
      attempt,
    }));
  }
}

function isWanted({ logger, operationLog }: OperationLogParts): boolean {
  return operationLog && (logger.isDebugEnabled?.() ?? true);
}

/** Names of members in JSON. All other members keep theirs. */
const FIELD_NAMES: Readonly<Record<string, string>> = {
  type: 'event',
  id: 'job_id',
  durationMs: 'duration_ms',
  waitedMs: 'wait_ms',
  runAt: 'run_at',
};

/** Returns the members of an event, except its stack and members that are `null`. */
function toFields(event: JobEvent): LogFields {
  const fields: Record<string, string | number | boolean> = {};
  for (const [name, value] of Object.entries(event) as [string, unknown][]) {
    const key = FIELD_NAMES[name] ?? name;
    if (value instanceof Date) {
      fields[key] = value.toISOString();
    } else if (name === 'error') {
      fields.error = (value as Failure).message;
    } else if (value !== null && value !== undefined) {
      fields[key] = value as string | number | boolean;
    }
  }
  return fields;
}

function describeStart(runAt: Date): string {
  return isNeverDue(runAt) ? 'waits for other jobs' : `due ${runAt.toISOString()}`;
}

function describe(event: JobEvent): string {
  const job = `${event.type} ${event.topic} ${event.id}`;
  switch (event.type) {
    case 'enqueued':
      return `${job}${event.deduplicated ? ' (already enqueued)' : ''} ${describeStart(event.runAt)}`;
    case 'replaced':
      return `${job} due ${event.runAt.toISOString()}`;
    case 'started':
      return `${job} attempt ${event.attempt} after ${toTenths(event.waitedMs)} ms of waiting`;
    case 'expired':
      return `${job} attempt ${event.attempt}`;
    case 'rescued':
      return `${job} attempt ${event.attempt} retries ${event.retries}`;
    default: {
      const time = event.durationMs === null ? '' : ` in ${toTenths(event.durationMs)} ms`;
      const next = 'runAt' in event ? ` next ${event.runAt.toISOString()}` : '';
      const error = event.type === 'retrying' ? ` (${event.error.message})` : '';
      return `${job} attempt ${event.attempt}${time}${next}${error}`;
    }
  }
}

function toTenths(ms: number): number {
  return Math.round(ms * 10) / 10;
}
