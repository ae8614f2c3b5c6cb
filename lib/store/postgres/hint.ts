/** PostgreSQL carries 8,000 bytes with a notification. */
const BYTES_MAX = 7_000;

/** A hint as it travels: its topics, or nothing when they are too many, which says "any". */
export function hintOf(topics: Iterable<string>): string {
  const text = JSON.stringify([...topics]);
  return Buffer.byteLength(text) <= BYTES_MAX ? text : '';
}

/** The topics of a hint; `undefined`: it may be any. */
export function topicsOfHint(text: string | undefined): readonly string[] | undefined {
  try {
    const topics: unknown = JSON.parse(text ?? '');
    return Array.isArray(topics) ? topics.map(String) : undefined;
  } catch {
    // Nothing, or what somebody else sends on this channel.
    return undefined;
  }
}
