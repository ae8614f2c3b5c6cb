import { InvalidOptionsError, InvalidPayloadError, PayloadTooLargeError } from '../core/errors.js';
import type { AnySchema } from '../core/job-topic.js';
import { validPayload } from '../core/job-topic.js';
import type { JobInsert } from '../store/job-store.js';

/**
 * A job to be, as it was when somebody asked for it: callers may use their objects for the next one meanwhile. A schema judges
 * what is stored, since that is what its handler will be given.
 */
export interface Draft {
  readonly row: JobInsert;
  readonly schema: AnySchema | undefined;
  /** Where it stands among others. */
  readonly place: string | undefined;
}

/**
 * One after another. What else may be wrong with any of them was found when it was drafted.
 *
 * @throws what `judge` throws, of the first that is refused.
 */
export async function judgeAll(drafts: readonly Draft[]): Promise<void> {
  for (const draft of drafts) {
    await judge(draft);
  }
}

/** @throws InvalidPayloadError when the topic has a schema that refuses the payload. */
export async function judge({ row, schema, place }: Draft): Promise<void> {
  try {
    if (schema) {
      await validPayload(schema, JSON.parse(row.payload), row.topic);
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
