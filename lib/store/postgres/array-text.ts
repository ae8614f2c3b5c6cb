/** An array as PostgreSQL reads it, of what needs no quotes: numbers, ids, and NULL for what is absent. */
export function arrayText(values: readonly (string | number | null)[]): string {
  return `{${values.map((value) => value ?? 'NULL').join(',')}}`;
}
