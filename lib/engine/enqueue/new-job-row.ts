import { v7 as uuidv7 } from 'uuid';
import type { Backoff } from '../../core/backoff.js';
import { InvalidOptionsError, InvalidPayloadError, PayloadTooLargeError } from '../../core/errors.js';
import type { Idempotency } from '../../core/job.js';
import type { EnqueueSettings, HandlerSettings } from '../../core/job-options.js';
import type { AnySchema } from '../../core/job-topic.js';
import { validatePayload } from '../../core/job-topic.js';
import type { JobInsert } from '../../store/job-store.js';

/**
 * A job to be, as it was when somebody asked for it: callers may use their objects for the next one meanwhile. A schema judges
 * what is stored, since that is what its handler will be given.
 */
export class NewJobRow {
  /** @param place where it stands among others. */
  constructor(
    readonly row: JobInsert,
    readonly schema: AnySchema | undefined,
    readonly place: string | undefined,
  ) {}
}

/** What a topic says of its jobs. */
export type DraftedTopic = Pick<HandlerSettings, 'maxRetries' | 'priority'> & { readonly topic: string };

/** A class, since thousands may be made in one call: see docs/adr/0020-short-lives.md. */
export class DraftedRow implements JobInsert {
  readonly id = uuidv7();
  readonly topic: string;
  readonly runAt: Date | null;
  readonly delayMs: number;
  readonly maxRetries: number;
  readonly priority: number;
  readonly timeoutMs: number | null;
  readonly backoff: Backoff | null;
  readonly uniqueKey: string | null;
  readonly metadata: string | null;

  /** @param maxRetries where neither the job nor its topic says otherwise. */
  constructor(
    of: DraftedTopic,
    readonly payload: string,
    given: EnqueueSettings,
    maxRetries: number,
    readonly idempotency: Idempotency | null,
  ) {
    this.topic = of.topic;
    this.runAt = given.runAt ?? null;
    this.delayMs = given.delayMs;
    this.maxRetries = given.maxRetries ?? of.maxRetries ?? maxRetries;
    this.priority = given.priority ?? of.priority ?? 0;
    this.timeoutMs = given.timeoutMs ?? null;
    this.backoff = given.backoff ?? null;
    this.uniqueKey = given.uniqueKey ?? null;
    this.metadata = given.metadata ?? null;
  }
}

/**
 * One after another. What else may be wrong with any of them was found when it was drafted.
 *
 * @throws what `judge` throws, of the first that is refused.
 */
export async function judgeAll(drafts: readonly NewJobRow[]): Promise<void> {
  for (const draft of drafts) {
    await judge(draft);
  }
}

/** @throws InvalidPayloadError when the topic has a schema that refuses the payload. */
export async function judge({ row, schema, place }: NewJobRow): Promise<void> {
  try {
    if (schema) {
      await validatePayload(schema, JSON.parse(row.payload), row.topic);
    }
  } catch (error) {
    throw place === undefined ? error : placedError(place, error);
  }
}

/** The same complaint, with the place of the job in front. */
export function placedError(place: string, error: unknown): unknown {
  if (error instanceof InvalidPayloadError) {
    return new InvalidPayloadError(`${place}.${error.path}`, error.reason, { cause: error.cause, topic: error.topic });
  }
  if (error instanceof PayloadTooLargeError) {
    return new PayloadTooLargeError(`${place}.${error.subject}`, error.bytes, error.bytesMax);
  }
  if (error instanceof InvalidOptionsError) {
    return new InvalidOptionsError(`${place}.${error.option}`, error.reason, { cause: error.cause });
  }
  return error;
}
