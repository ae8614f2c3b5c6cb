import { foldMessage } from '../../lib/core/error-groups.js';
import { hashErrorGroup } from '../../lib/store/lists/error-group-search.js';

/** Returns the key of the group to which an error belongs. */
export function toErrorKey(topic: string, message: string): string {
  return hashErrorGroup(topic, foldMessage(message));
}
