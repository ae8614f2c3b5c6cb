import pg from 'pg';

/** Counts what this process sends to PostgreSQL, whoever's client it is: everybody here uses the same driver. */
export function countStatements() {
  let count = 0;
  const { query } = pg.Client.prototype;
  return {
    /** The first call begins to count. */
    count: () => {
      if (pg.Client.prototype.query === query) {
        pg.Client.prototype.query = /** @type {any} */ (
          function (/** @type {any} */ ...args) {
            count += 1;
            return Reflect.apply(query, this, args);
          }
        );
      }
      return count;
    },
  };
}
