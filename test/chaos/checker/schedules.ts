import type { CursorMove, Evidence, JobRow, ScheduleRow } from '../cluster/evidence.js';
import { SET_BACK_MS } from '../cluster/tables.js';
import { groupBy } from './jobs.js';
import type { Violation } from './violation.js';

const INTERVAL_MS = 1_000;
/** How late the last tick may be. A killed worker takes some seconds to start again, and three others fire. */
const LATE_MAX_MS = 10_000;

/** Every-second schedules with `missed: 'all'`: each second has one job, from the declaration to the pause. */
export function checkSchedules({ schedules, jobs, cursorMoves }: Evidence): Violation[] {
  const byName = groupBy(
    jobs.filter(({ schedule }) => schedule !== null),
    ({ schedule }) => schedule!,
  );
  const moves = groupBy(cursorMoves, ({ name }) => name);
  return schedules.flatMap((schedule) => [
    ...checkTicks(schedule, byName.get(schedule.name) ?? []),
    ...checkMoves(moves.get(schedule.name) ?? []),
  ]);
}

function checkTicks(
  { name, created, next_tick: next, paused_since: paused }: ScheduleRow,
  jobs: JobRow[],
): Violation[] {
  const ticks = jobs.map(({ tick }) => Date.parse(tick!)).sort((a, b) => a - b);
  const violations: Violation[] = [];
  let expected = Math.min(ticks[0] ?? Infinity, (Math.floor(created / INTERVAL_MS) + 1) * INTERVAL_MS);
  for (const tick of [...ticks, next]) {
    if (tick < expected) {
      violations.push({ promise: 'double', detail: `${name} fired twice at ${describe(tick)}` });
    } else if (tick > expected) {
      const lost = `${(tick - expected) / INTERVAL_MS} ticks from ${describe(expected)}`;
      violations.push({ promise: 'lost', detail: `${name} has no job for ${lost}` });
    }
    expected = tick + INTERVAL_MS;
  }
  if (paused === null || paused - next > LATE_MAX_MS) {
    violations.push({ promise: 'stuck', detail: `${name} stopped firing at ${describe(next)}` });
  }
  return violations;
}

/** A cursor moves on from where it stands. Only the campaign sets it back. */
function checkMoves(moves: readonly CursorMove[]): Violation[] {
  return moves
    .filter(({ was, now }) => now <= was && now !== was - SET_BACK_MS)
    .map(({ name, was, now }) => ({
      promise: 'move',
      detail: `the cursor of ${name} was moved from ${describe(was)} to ${describe(now)}`,
    }));
}

function describe(ms: number): string {
  return new Date(ms).toISOString();
}
