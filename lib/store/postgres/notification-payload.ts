import { randomUUID } from 'node:crypto';

/** PostgreSQL carries 8,000 bytes with a notification. */
const BYTES_MAX = 7_000;

/**
 * Hints as they travel: a JSON array of topics and of a random name of the sender. Too many topics are sent as nothing, which
 * says "any". The process that sends a hint hears of it, too, and does not heed it: it was told by the answer to the call that has
 * stored the job.
 */
export class NotificationPayload {
  private origin = randomUUID();

  encode(topics: Iterable<string>): string {
    const text = JSON.stringify([...topics, { from: this.origin }]);
    return Buffer.byteLength(text) <= BYTES_MAX ? text : '';
  }

  /**
   * From now on what was sent so far is heeded like hints of others: the answer to a call was lost, and the hint that it carried
   * says when the server has stored the job. What carried none is found by polling.
   */
  heedSent(): void {
    this.origin = randomUUID();
  }

  /** The topics that others tell of in a hint; `undefined`: it may be any. */
  decode(text: string | undefined): readonly string[] | undefined {
    const parts = partsOf(text);
    const isOwn = parts?.some((part) => isFrom(part, this.origin));
    return isOwn ? [] : parts?.filter((part) => typeof part === 'string');
  }
}

function partsOf(text: string | undefined): readonly unknown[] | undefined {
  try {
    const parts: unknown = JSON.parse(text ?? '');
    return Array.isArray(parts) ? parts : undefined;
  } catch {
    // Nothing, or what somebody else sends on this channel.
    return undefined;
  }
}

function isFrom(part: unknown, origin: string): boolean {
  return typeof part === 'object' && part !== null && 'from' in part && part.from === origin;
}
