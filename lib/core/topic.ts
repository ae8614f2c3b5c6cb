import type { Check } from './option-checks.js';
import { text } from './option-checks.js';

/** The name of a topic: 1 to 255 characters. */
export const topicCheck = text(255);

/** A topic: its name, or the result of `defineJob`. */
export type TopicName = string | { readonly name: string };

/** A topic in either form. Converts it to its name. */
export const topicNameCheck: Check<string> = {
  expects: topicCheck.expects,
  schema: topicCheck.schema!,
  parse: (value, path) => {
    const isTyped = typeof value === 'object' && value !== null && 'name' in value;
    return topicCheck.parse(isTyped ? value.name : value, path);
  },
};
