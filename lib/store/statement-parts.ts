/*
 * Parts of statements that are the same on both databases; `j` is the row.
 */

const leaseLost = `'lease of attempt ' || j.attempt || ' lost: worker '`;

/** What the rescue writes of an attempt whose lease has ended, but had begun: as `last_error`, and in `errors`. */
export const LEASE_LOST = `${leaseLost} || coalesce(j.locked_by, '?') || ' stopped renewing it; its handler may have run'`;

/** Whether that stands there: the attempt itself has recorded nothing, then. */
export const IS_TAKEN_OVER = `coalesce(j.last_error LIKE ${leaseLost} || '%', false)`;
