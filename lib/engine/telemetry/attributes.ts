import type { Attributes } from '@opentelemetry/api';
import { isUnrecoverable } from '../../core/errors.js';
import type { JobEvent } from '../../core/job-events.js';

/* Names of the OpenTelemetry semantic conventions for messaging. The module's own begin with `messaging.nestjs_jobs.`. */

export const SYSTEM = 'messaging.system';
const OPERATION_NAME = 'messaging.operation.name';
const OPERATION_TYPE = 'messaging.operation.type';
export const DESTINATION = 'messaging.destination.name';
export const MESSAGE_ID = 'messaging.message.id';
export const BATCH_COUNT = 'messaging.batch.message_count';
export const ERROR_TYPE = 'error.type';
export const OWN = 'messaging.nestjs_jobs.';
export const OUTCOME = `${OWN}outcome`;
export const STATUS = `${OWN}status`;
export const ATTEMPT = `${OWN}attempt`;
export const RETRIES = `${OWN}retries`;

export const ENQUEUE: Attributes = { [SYSTEM]: 'nestjs_jobs', [OPERATION_NAME]: 'enqueue', [OPERATION_TYPE]: 'send' };
export const PROCESS: Attributes = {
  [SYSTEM]: 'nestjs_jobs',
  [OPERATION_NAME]: 'process',
  [OPERATION_TYPE]: 'process',
};

/** An event at the end of an attempt of this process. */
export type EndEvent = Exclude<JobEvent, { type: 'enqueued' | 'started' | 'rescued' }> & {
  readonly durationMs: number;
};

/** Whether the event ends an attempt whose handler ran in this process. */
export function isEndEvent(event: JobEvent): event is EndEvent {
  return 'durationMs' in event && event.durationMs !== null;
}

/** Whether this process found that a worker had died while it ran the job. */
export function isLostLease(event: JobEvent): boolean {
  return event.type === 'rescued' || (event.type === 'failed' && event.durationMs === null);
}

/**
 * Returns the class of the error with which the attempt ended, or `undefined` if it did not fail.
 *
 * @param thrownType class of what the handler threw, if it threw.
 */
export function toErrorType(event: EndEvent, thrownType: string | undefined): string | undefined {
  if (event.type === 'lease_lost') {
    return 'lease_lost';
  }
  return event.type === 'failed' || event.type === 'retrying' ? (thrownType ?? readType(event.error.stack)) : undefined;
}

/** The value of the conventions for an error without a known class. */
const OTHER_ERROR = '_OTHER';

/** Returns the class of a thrown value, for `error.type`. A rejection by a guard or a pipe has the class that these threw. */
export function toThrownType(error: unknown): string {
  try {
    const { cause } = error as Error;
    const thrown = isUnrecoverable(error) && cause instanceof Error ? cause : (error as Error);
    return readType(thrown.name === 'Error' ? thrown.constructor.name : thrown.name);
  } catch {
    // `null`, or a getter that throws.
    return OTHER_ERROR;
  }
}

/** Reads the class at the start of a stack. Any other text is ignored: it would make a series for each message. */
function readType(text: unknown): string {
  return /^([A-Za-z_$][\w$]{0,63})(?:[:\n]|$)/.exec(String(text))?.[1] ?? OTHER_ERROR;
}

/** Returns the topic of all jobs of a call; `undefined` if there are several, or the topic is no name. Topics are not checked yet. */
export function toCommonTopic([first, ...others]: readonly unknown[]): string | undefined {
  const name = toName(first);
  return typeof name === 'string' && others.every((topic) => toName(topic) === name) ? name : undefined;
}

function toName(topic: unknown): unknown {
  return typeof topic === 'string' ? topic : (topic as { name?: unknown } | null | undefined)?.name;
}

/** The attributes of an operation by topic, made once for each topic: they cost as much as the rest of a span. */
export class TopicAttributes {
  private readonly byTopic = new Map<string, Attributes>();

  constructor(
    private readonly operation: Attributes,
    private readonly toLabel: (topic: string) => string = (topic) => topic,
  ) {}

  get(topic: string): Attributes {
    let attributes = this.byTopic.get(topic);
    if (!attributes) {
      attributes = { ...this.operation, [DESTINATION]: this.toLabel(topic) };
      if (this.byTopic.size < KEPT_TOPICS_MAX) {
        this.byTopic.set(topic, attributes);
      }
    }
    return attributes;
  }
}

const KEPT_TOPICS_MAX = 1_000;
