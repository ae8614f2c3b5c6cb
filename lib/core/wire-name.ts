/** The name of an option in requests and responses: `runAt` is `run_at`. */
export type WireName<Option extends string> = Option extends `${infer First}${infer Rest}`
  ? `${First extends Lowercase<First> ? First : `_${Lowercase<First>}`}${WireName<Rest>}`
  : Option;

/** Returns the name of an option in requests and responses. */
export function toWireName<Option extends string>(option: Option): WireName<Option> {
  return option.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`) as WireName<Option>;
}
