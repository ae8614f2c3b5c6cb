import type { ClaimToken } from '../../core/job.js';

/** An array as PostgreSQL reads it, of what needs no quotes or has them: numbers, ids, and the word NULL. */
export function arrayText(values: readonly (string | number)[]): string {
  return `{${values.join(',')}}`;
}

/** The ids, the attempts and the places of claims, an array each. */
export function claimArrays(tokens: readonly ClaimToken[]): [ids: string, attempts: string, places: string] {
  return [
    arrayText(tokens.map(({ id }) => id)),
    arrayText(tokens.map(({ attempt }) => attempt)),
    arrayText(tokens.map(({ rowRef: place }) => (place === undefined ? 'NULL' : `"${place}"`))),
  ];
}
