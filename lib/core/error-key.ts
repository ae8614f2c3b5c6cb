import type { Check } from './option-checks.js';

/** What names an error of a topic by its whole text. The store makes it. */
export const errorKeyCheck: Check<string> = {
  expects: 'the key of a group of errors, 32 hexadecimal digits',
  schema: { type: 'string', pattern: '^[0-9a-f]{32}$' },
  parse: (value) => (typeof value === 'string' && /^[0-9a-f]{32}$/.test(value) ? value : undefined),
};
