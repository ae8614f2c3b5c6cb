import type { FiringJson } from './schedule-table.js';
import type { SqlRow, SqlScript } from '../runtime/sql-runner.js';
import { INSERT_JOBS } from '../jobs/insert.sqlite.js';
import { BUSY_SCHEDULES, MOVE_CURSORS } from './schedule.sqlite.js';

/**
 * Fires ticks: moves the cursors, then inserts the jobs of the schedules that were moved. Returns a row with `name` for each of these
 * schedules, and one with `id` for each inserted job.
 */
export function* fireScript(firings: readonly FiringJson[]): SqlScript<SqlRow[]> {
  const names = JSON.stringify(firings.map(({ name }) => name));
  const busy = new Set((yield { sql: BUSY_SCHEDULES, params: [names] }).map(({ name }) => name));
  const cursors = firings.map(({ name, cursor }) =>
    busy.has(name) ? { ...cursor, tick: null, last_id: null } : cursor,
  );
  const moved = yield { sql: MOVE_CURSORS, params: [JSON.stringify(cursors)] };
  const firing = new Set(moved.map(({ name }) => name).filter((name) => !busy.has(name)));
  const jobs = firings
    .filter(({ name, jobs }) => firing.has(name) && jobs !== '[]')
    .map(({ jobs }) => jobs.slice(1, -1));
  const inserted = jobs.length === 0 ? [] : yield { sql: INSERT_JOBS, params: [`[${jobs.join(',')}]`] };
  return [...moved.map(({ name }) => ({ name, id: null })), ...inserted];
}
