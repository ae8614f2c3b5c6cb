/** Fails, and so does every later statement of the transaction: its COMMIT rolls back. The server's log has the text. */
export const FAIL_TRANSACTION = `SELECT ('completeTx was refused, and its transaction must not commit'::text || statement_timestamp())::integer`;
