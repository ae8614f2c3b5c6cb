/* SQL that both databases share; `j` is the row. */

/** The error that the rescue records for an attempt that had started. */
export const LEASE_LOST =
  "'lease of attempt ' || j.attempt || ' lost: worker ' || coalesce(j.locked_by, '?') || ' stopped renewing it; its handler may have run'";

/** The error of a job that had not started by its expiry. */
export const EXPIRED = 'expired';

/** Whether a rescue, and not the attempt itself, has ended the last attempt. */
export const WAS_RESCUED = 'coalesce(j.rescued_attempt = j.attempt, false)';
