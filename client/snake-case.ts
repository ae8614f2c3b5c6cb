type SnakeCase<Name extends string> = Name extends `${infer First}${infer Rest}`
  ? First extends Lowercase<First>
    ? `${First}${SnakeCase<Rest>}`
    : `_${Lowercase<First>}${SnakeCase<Rest>}`
  : '';

/** An object whose members may also be spelled as on the wire: `runAt` or `run_at`. */
export type EitherCase<T> = T & { [Name in keyof T as SnakeCase<Name & string>]?: T[Name] };

/**
 * The members of `options` as they are on the wire: named in snake_case, dates as text. Other values stay as they are,
 * and so do unknown names, which the server refuses by name. Members that are `undefined` count as left out.
 * @throws TypeError when a member is given in both spellings, or is an invalid date
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
    members[wireName] = isDate(value) ? timeText(value, name) : value;
  }
  return members;
}

/** By its shape: a date of another frame, or of a library, is no `instanceof Date`. */
function isDate(value: unknown): value is Date {
  return typeof (value as Date | null)?.toISOString === 'function';
}

function timeText(date: Date, name: string): string {
  if (Number.isNaN(Number(date))) {
    throw new TypeError(`${name}: expected a valid date, got an invalid one`);
  }
  return date.toISOString();
}
