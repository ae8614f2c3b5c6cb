import { createHash } from 'node:crypto';
import { foldMessage } from '../../core/error-groups.js';
import { nextTurn } from '../runtime/real-timers.js';
import type { SqlRow } from '../runtime/sql-runner.js';

/* Finds the jobs of an error group. The database does not store the keys of groups, so this process folds the messages. */

/** Reads rows of (topic, message, ids). Returns the ids of the jobs whose error belongs to a group. */
export async function findInErrorGroup(rows: readonly SqlRow[], errorKey: string): Promise<string[]> {
  const found: string[] = [];
  // Many messages have one pattern.
  const keys = new Map<string, string>();
  const pauses = new FoldingPauses();
  for (const { topic, message, ids } of rows) {
    const pattern = foldMessage(message as string);
    const name = `${(topic as string).length}:${topic as string}${pattern}`;
    const key = keys.get(name) ?? hashErrorGroup(topic as string, pattern);
    keys.set(name, key);
    if (key === errorKey) {
      found.push(...(ids as string).split(' '));
    }
    await pauses.after(message as string);
  }
  return found;
}

/**
 * Returns the key of the group of an error: 32 hexadecimal digits of a SHA-256 over topic and pattern. A pattern would not fit into a
 * URL, and a redacted one would find nothing. The topic is part of it, so that re-queuing the mails that timed out leaves the payments
 * alone.
 *
 * @param pattern see `foldMessage`.
 */
export function hashErrorGroup(topic: string, pattern: string): string {
  const text = `${Buffer.byteLength(topic)}:${topic}${pattern}`;
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}

/** Characters that are folded between two iterations of the event loop. This takes 5 ms, or 15 ms for messages full of digits. */
const PIECE_CHARS = 100_000;
/** What a message costs beside its characters, in characters. */
const MESSAGE_CHARS = 50;

/** Lets the event loop run after each `PIECE_CHARS` characters. */
export class FoldingPauses {
  private chars = 0;

  async after(message: string): Promise<void> {
    this.chars += message.length + MESSAGE_CHARS;
    if (this.chars >= PIECE_CHARS) {
      this.chars = 0;
      await nextTurn();
    }
  }
}
