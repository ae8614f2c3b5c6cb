import type { SqlRunner } from './sql-runner.js';

/** How far the clock of a store is ahead of its database. For tests: other stores have no such object. */
export interface MovedTime {
  readonly aheadMs: number;
}

/** Moves the time in a statement of one database. */
type MoveTime = (sql: string, aheadMs: number) => string;

/** Returns a runner whose statements read the moved time; without `time`, the given one. */
export function withMovedTime(runner: SqlRunner, moveTime: MoveTime, time: MovedTime | undefined): SqlRunner {
  if (!time) {
    return runner;
  }
  const { querySync } = runner;
  return {
    query: (sql, params) => runner.query(moveTime(sql, time.aheadMs), params),
    querySync: querySync && ((sql, params) => querySync(moveTime(sql, time.aheadMs), params)),
  };
}
