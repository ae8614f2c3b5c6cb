import type { Claim } from '../../core/job.js';
import { claimOf } from '../row-mapper.js';
import type { SqlRow } from '../sql-runner.js';
import { NUMBERS } from './sql/claim.js';

/** A claimed row. Its numbers are an array as PostgreSQL writes it, `{2,1,3,0,NULL}`, unless they are the usual ones. */
export function toClaim(row: SqlRow): Claim {
  const { numbers } = row;
  if (numbers !== null) {
    const values = (numbers as string).slice(1, -1).split(',');
    NUMBERS.forEach((column, index) => (row[column] = values[index] === 'NULL' ? null : values[index]));
  }
  return claimOf(row);
}
