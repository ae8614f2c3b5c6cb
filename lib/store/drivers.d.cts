/** Returns `pg`, or `undefined` if it is not installed. */
export function loadPg(): unknown;
