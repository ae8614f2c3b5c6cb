import { PayloadTooLargeError } from './errors.js';
import { applyCheck, text } from './option-checks.js';
import { encodePayload, RECORDED_JSON_BYTES_MAX } from './payload.js';
import { byteLength } from './text.js';

const nameCheck = text(100);
/** The JSON of the time and of the list around each step. */
const BYTES_PER_STEP = 40;

/** @throws InvalidOptionsError for a name that is not text of 1 to 100 characters. */
export function readStepName(name: unknown): string {
  return applyCheck(nameCheck, name, 'step');
}

/** Returns the JSON text of a finished step. @throws InvalidPayloadError for a result that is not JSON; it names the step. */
export function toStepText(name: string, result: unknown): string {
  const head = `{"name":${JSON.stringify(name)}`;
  return result === undefined ? `${head}}` : `${head},"result":${encodePayload(result, Infinity, `step '${name}'`)}}`;
}

/** Limits the size of all steps of a job. */
export class StepSizes {
  private readonly bytesByName = new Map<string, number>();

  /** @throws PayloadTooLargeError when the steps exceed 64 KiB together. It names the step and its size. */
  add(name: string, json: string): void {
    const bytes = byteLength(json) + BYTES_PER_STEP;
    const others = [...this.bytesByName.values()].reduce((sum, each) => sum + each, 0);
    if (others + bytes > RECORDED_JSON_BYTES_MAX) {
      const subject = `the steps of a job, with step '${name}' of ${bytes} bytes,`;
      throw new PayloadTooLargeError(subject, others + bytes, RECORDED_JSON_BYTES_MAX);
    }
    this.bytesByName.set(name, bytes);
  }

  /** The step was not recorded. */
  remove(name: string): void {
    this.bytesByName.delete(name);
  }
}
