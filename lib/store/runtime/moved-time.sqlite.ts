/** Moves the time that a statement reads from the clock: SQLite's time functions add the modifiers behind 'now'. For tests. */
export const moveTime = (sql: string, aheadMs: number): string =>
  aheadMs === 0 ? sql : sql.replaceAll(`'now'`, `'now', '+${(aheadMs / 1_000).toFixed(3)} seconds'`);
