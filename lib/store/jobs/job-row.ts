/* SQL that both databases share; `j` is the row. */

const LEASE_LOST_END = ' stopped renewing it; its handler may have run';

/** The error that the rescue records for an attempt that had started. */
export const LEASE_LOST = `'lease of attempt ' || j.attempt || ' lost: worker ' || coalesce(j.locked_by, '?') || '${LEASE_LOST_END}'`;

/** Whether a message is `LEASE_LOST` of the attempt `o.attempt`, without a reason. */
export const isUnexplainedLoss = (message: string): string =>
  `coalesce(${message} LIKE 'lease of attempt ' || o.attempt || ' lost: worker %${LEASE_LOST_END}', false)`;

/** The error of a job that had not started by its expiry. */
export const EXPIRED = 'expired';

/** Whether a rescue, and not the attempt itself, has ended the last attempt. */
export const WAS_RESCUED = 'coalesce(j.rescued_attempt = j.attempt, false)';
