import { text } from './option-checks.js';

/** A topic, as it is named everywhere. */
export const topicCheck = text(255);
