import { grid, number } from '../results/table.mjs';

/** @param {ReturnType<typeof import('./verdict.mjs').measureGrowth>} growth */
export function growthTable(growth) {
  const lines = growth.map(({ title, second, last, growth: grown, isWithin }) => [
    title,
    number(second),
    number(last),
    `${(grown * 100).toFixed(1)} %`,
    isWithin ? 'yes' : 'no',
  ]);
  return grid([['median', 'second period', 'last period', 'growth', 'within 5 %'], ...lines]).join('\n');
}

/** @param {NonNullable<ReturnType<typeof import('./verdict.mjs').measureRecovery>>} recovery */
export function recoveryTable(recovery) {
  const lines = recovery.map(({ title, before, most, recoverySeconds }) => [
    title,
    number(before),
    number(most),
    recoverySeconds === undefined ? 'not within the run' : `${recoverySeconds}`,
  ]);
  return grid([['', 'median before', 'most while held', 'recovery, s'], ...lines]).join('\n');
}
