import type { ClaimToken } from '../../core/job.js';

/** An array as PostgreSQL reads it, of what needs no quotes or has them: numbers, ids, and the word NULL. */
export function arrayText(values: readonly (string | number)[]): string {
  return `{${values.join(',')}}`;
}

/** The place of a claimed row as an element of such an array. */
export function placeText({ place }: ClaimToken): string {
  return place === undefined ? 'NULL' : `"${place}"`;
}
