const numbered = /\?(\d+)/g;

/**
 * SQLite's numbered parameters (`?1`) as anonymous ones: better-sqlite3 takes numbers for names and does not bind them
 * by position. `order` says which parameter goes where; `null` when the statement has no numbers, as on PostgreSQL.
 */
export function withAnonymousParameters(sql: string): { text: string; order: readonly number[] | null } {
  const order = [...sql.matchAll(numbered)].map((match) => Number(match[1]) - 1);
  return order.length === 0 ? { text: sql, order: null } : { text: sql.replace(numbered, '?'), order };
}
