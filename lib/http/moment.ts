import type { Check } from '../core/option-checks.js';
import { dateCheck } from '../core/option-checks.js';

/** Date, time with seconds and their parts or without, and a zone. */
const FORM = /^(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?(Z|[+-]\d{2}:\d{2})$/;

/** A moment as it stands on the wire. Without a zone it would mean another moment on each machine. */
export const momentCheck: Check<Date> = {
  expects: "ISO 8601 text with a zone, such as '2030-01-31T09:00:00.000Z'",
  parse: (value, path) => {
    const [text, day, minute, second = '00', parts = ''] = FORM.exec(typeof value === 'string' ? value : '') ?? [];
    if (text === undefined) {
      return undefined;
    }
    // Written by hand in UTC, a date that does not exist does not come back as it was.
    const plain = `${day}T${minute}:${second}.${parts.padEnd(3, '0').slice(0, 3)}`;
    const local = new Date(`${plain}Z`);
    const isReal = !Number.isNaN(local.getTime()) && local.toISOString() === `${plain}Z`;
    return isReal ? dateCheck.parse(new Date(text), path) : undefined;
  },
};
