/** What a search text looks for. A job matches if any part matches. */
export interface SearchTerms {
  /** Part of a topic, an error, a payload or metadata, in any case; or a whole id. */
  readonly text: string;
  /** Whole unique keys: the text, and `KEY` in `unique:KEY`. */
  readonly uniqueKeys: readonly string[];
  /** `name:value`: a member of the payload or of the metadata; `null` for any other text. */
  readonly member: SearchedMember | null;
}

/** A member of an object, at a path of names, whose value has this text. */
interface SearchedMember {
  readonly path: readonly string[];
  readonly value: string;
}

/** A name begins with a letter, _ or $, so that no part of a path is the position in a list. */
const NAME = String.raw`[\p{L}_$][\p{L}\p{N}_$-]*`;
/** No space follows the colon: `Error: timeout` is a text. A value with spaces has quotes. */
const MEMBER = new RegExp(String.raw`^(${NAME}(?:\.${NAME})*):(?:"(.+)"|([^\s"]\S*))$`, 'su');

/** Reads a search text, such as `timeout`, `orderId:20231`, `customer.name:"Ann Lee"` or `unique:order-7`. */
export function parseSearch(text: string): SearchTerms {
  const [, name, quoted, plain] = MEMBER.exec(text) ?? [];
  if (name === undefined) {
    return { text, uniqueKeys: [text], member: null };
  }
  const value = (quoted ?? plain)!;
  const uniqueKeys = name === 'unique' ? [text, value] : [text];
  return { text, uniqueKeys, member: { path: name.split('.'), value } };
}

/** Returns whether a topic contains the search text, in any case. `null` is in every topic. */
export function isInTopic(text: string | null, topic: string): boolean {
  return text === null || topic.toLowerCase().includes(text.toLowerCase());
}
