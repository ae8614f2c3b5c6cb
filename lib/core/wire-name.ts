/** The name of an option in requests and responses of HTTP: `max_retries` for `maxRetries`. */
export type SnakeCase<Name extends string> = Name extends `${infer First}${infer Rest}`
  ? First extends Lowercase<First>
    ? `${First}${SnakeCase<Rest>}`
    : `_${Lowercase<First>}${SnakeCase<Rest>}`
  : '';

/** `maxRetries` becomes `max_retries`. */
export function toWireName<Name extends string>(option: Name): SnakeCase<Name> {
  return option.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`) as SnakeCase<Name>;
}
