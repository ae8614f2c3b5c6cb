/** Moves the time that a statement reads from the server's clock. For tests. */
export const moveTime = (sql: string, aheadMs: number): string =>
  aheadMs === 0
    ? sql
    : sql.replace(/\b(statement|clock)_timestamp\(\)/g, `($& + make_interval(secs => ${aheadMs / 1_000}))`);
