type SnakeCase<Name extends string> = Name extends `${infer First}${infer Rest}`
  ? First extends Lowercase<First>
    ? `${First}${SnakeCase<Rest>}`
    : `_${Lowercase<First>}${SnakeCase<Rest>}`
  : '';

/** An object whose members may also be spelled as on the wire: `runAt` or `run_at`. */
export type EitherCase<T> = T & { [Name in keyof T as SnakeCase<Name & string>]?: T[Name] };

/**
 * The members of `options` as they are named on the wire; values stay as they are, names that are unknown too, so that
 * the server can refuse them by name. Members that are `undefined` count as left out.
 * @throws TypeError when a member is given in both spellings
 */
export function snakeCased(options: object): Record<string, unknown> {
  const members: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) {
      continue;
    }
    const wireName = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    if (Object.hasOwn(members, wireName)) {
      throw new TypeError(`${wireName}: given twice, in two spellings`);
    }
    members[wireName] = value;
  }
  return members;
}
