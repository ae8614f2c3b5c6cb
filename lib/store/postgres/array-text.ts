/** An array as PostgreSQL reads it, of what needs no quotes or has them: numbers, ids, and the word NULL. */
export function arrayText(values: readonly (string | number)[]): string {
  return `{${values.join(',')}}`;
}
