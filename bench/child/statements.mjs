import pg from 'pg';

/**
 * Counts what this process sends to PostgreSQL, by any client: all contenders use the same driver. A statement outside of
 * BEGIN and COMMIT is a transaction of its own.
 */
export function countStatements() {
  let statements = 0;
  let transactions = 0;
  let isCounting = false;
  /** Clients with an open transaction. @type {WeakSet<object>} */
  const open = new WeakSet();
  const { query } = pg.Client.prototype;

  const begin = () => {
    if (isCounting) return;
    isCounting = true;
    pg.Client.prototype.query = /** @type {any} */ (
      function (/** @type {any} */ ...args) {
        const text = String(args[0]?.text ?? args[0]);
        statements += 1;
        if (/^\s*(BEGIN|START TRANSACTION)\b/i.test(text)) open.add(this);
        if (/^\s*(COMMIT|ROLLBACK(?!\s+TO)|END)\b/i.test(text) || /;\s*COMMIT\s*;?\s*$/i.test(text)) open.delete(this);
        if (!open.has(this)) transactions += 1;
        return Reflect.apply(query, this, args);
      }
    );
  };
  return {
    /** The first call begins to count. */
    count: () => {
      begin();
      return statements;
    },
    transactions: () => {
      begin();
      return transactions;
    },
  };
}
