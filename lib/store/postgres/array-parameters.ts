import type { ClaimToken } from '../../core/job.js';

/** Writes a PostgreSQL array of values that need no quotes or have them: numbers, ids, and the word NULL. */
export function toArrayText(values: readonly (string | number)[]): string {
  return `{${values.join(',')}}`;
}

/** Writes the ids, attempts and row references of claims as three arrays. */
export function toClaimArrays(tokens: readonly ClaimToken[]): [ids: string, attempts: string, rowRefs: string] {
  return [
    toArrayText(tokens.map(({ id }) => id)),
    toArrayText(tokens.map(({ attempt }) => attempt)),
    toArrayText(tokens.map(({ rowRef }) => (rowRef === undefined ? 'NULL' : `"${rowRef}"`))),
  ];
}
