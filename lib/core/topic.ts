import type { Check } from './option-checks.js';
import { text } from './option-checks.js';

/** A topic, as it is named everywhere. */
export const topicCheck = text(255);

/** A topic by its text, or by what `defineJob` made of it. */
export type TopicName = string | { readonly name: string };

/** The text of a topic that is given in either way. */
export const topicNameCheck: Check<string> = {
  expects: topicCheck.expects,
  schema: topicCheck.schema!,
  parse: (value, path) => {
    const isTyped = typeof value === 'object' && value !== null && 'name' in value;
    return topicCheck.parse(isTyped ? value.name : value, path);
  },
};
