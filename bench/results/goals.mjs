import { buildGoalKey } from './earlier-page.mjs';
import { median } from './statistics.mjs';
import { grid } from './table.mjs';

/**
 * Where the queue must stand. `over`: another contender's figure of the same measure or of `overMeasure`; without it, the
 * figure itself is judged. `least` and `aim` are shares of it. Of `less`, figures are to be below.
 *
 * @typedef {object} Goal
 * @property {string} measure
 * @property {string} ours
 * @property {string} [over]
 * @property {string} [overMeasure]
 * @property {keyof typeof OF} [of]
 * @property {number} [least]
 * @property {number} [most]
 * @property {number} [aim]
 */

const ratio = (
  /** @type {string} */ measure,
  /** @type {string} */ over,
  /** @type {number} */ least,
  /** @type {number} */ aim = least,
) => ({
  measure,
  ours: 'ours-pg',
  over,
  least,
  aim,
});

const besideEmpty = ['kept', 'future', 'foreign', 'topics'].flatMap((name) =>
  ['ours-pg', 'ours-sqlite'].map((ours) => ({
    measure: `drain-${name}`,
    ours,
    over: ours,
    overMeasure: 'drain',
    least: 0.8,
    aim: 0.95,
  })),
);

/** CPU time of an idle process in a second: 0.5 % of a core. */
const IDLE_MS_MOST = 5;

/** @type {Goal[]} */
export const goals = [
  ratio('drain', 'graphile-worker', 1.2, 1.5),
  ratio('drain', 'pg-boss', 1.6),
  ratio('drain', 'bullmq', 2.2),
  ratio('drain', 'raw-pg', 0.7, 0.85),
  { ...ratio('drain', 'graphile-worker', 1.4, 1.9), ours: 'ours-pg-removing' },
  { ...ratio('drain-default', 'graphile-worker-default', 15), ours: 'ours-pg-default' },
  { ...ratio('drain-default', 'bullmq-default', 8), ours: 'ours-pg-default' },
  { ...ratio('drain-default', 'ours-pg', 0.8), ours: 'ours-pg-default', overMeasure: 'drain' },
  ratio('drain-2', 'graphile-worker', 1.1, 1.4),
  ratio('enqueue-64', 'graphile-worker', 25, 50),
  ratio('enqueue-64', 'pg-boss', 25, 50),
  ratio('enqueue-64', 'bullmq', 1.2, 2),
  ratio('enqueue-one', 'graphile-worker', 2),
  ratio('enqueue-one', 'pg-boss', 2),
  ratio('enqueue-bulk', 'graphile-worker', 1.3, 2),
  ratio('enqueue-bulk', 'pg-boss', 2),
  ratio('together', 'graphile-worker', 10),
  ratio('together', 'bullmq', 1.4),
  ...['value', 'p99Ms'].flatMap((of) => [
    { measure: 'pickup', ours: 'ours-pg', over: 'graphile-worker', of: /** @type {any} */ (of), most: 1 },
    { measure: 'pickup', ours: 'ours-pg', over: 'pg-boss', of: /** @type {any} */ (of), most: 1 },
    { measure: 'pickup', ours: 'ours-pg', over: 'bullmq', of: /** @type {any} */ (of), most: 1.3, aim: 1 },
  ]),
  ...['ours-sqlite', 'ours-sqlite3'].flatMap((ours) => [
    { measure: 'between-processes', ours, over: 'plainjob-5ms', most: 1 },
    { measure: 'between-processes', ours, over: 'plainjob-5ms', of: /** @type {const} */ ('p99Ms'), most: 1 },
    { measure: 'idle-cpu', ours, most: IDLE_MS_MOST },
  ]),
  { measure: 'snapshot', ours: 'ours-pg', least: 0.85, aim: 1 },
  ...besideEmpty,
  { ...ratio('fan-in', 'ours-pg', 0.87), overMeasure: 'fan-in-plain' },
  { ...ratio('fan-in', 'ours-sqlite', 0.87), ours: 'ours-sqlite', overMeasure: 'fan-in-plain' },
  { measure: 'chain', ours: 'ours-pg', most: 3_000 },
  { measure: 'chain', ours: 'ours-sqlite', most: 3_000 },
  { ...ratio('drain', 'plainjob', 6, 10), ours: 'ours-sqlite' },
  { ...ratio('drain', 'raw-sqlite', 0.4), ours: 'ours-sqlite' },
  { measure: 'drain', ours: 'ours-pg', over: 'graphile-worker', of: 'cpu', most: 1 },
  { measure: 'idle', ours: 'ours-pg', most: 2 },
  { measure: 'herd-8', ours: 'ours-pg', most: 6 },
  { measure: 'herd-50', ours: 'ours-pg', most: 8 },
  { measure: 'herd-1', ours: 'ours-pg', of: 'idlePerProcess', most: 2 },
  ...['herd-8', 'herd-20', 'herd-50'].map((measure) => ({
    measure,
    ours: 'ours-pg',
    of: /** @type {const} */ ('idlePerProcess'),
    most: 0.5,
  })),
  { measure: 'steady-5ms-1-300', ours: 'ours-pg', over: 'graphile-worker', of: 'p99Ms', most: 1 },
  { measure: 'steady-5ms-1-1000', ours: 'ours-pg', of: 'p50Ms', most: 2 },
  { measure: 'steady-5ms-1-1000', ours: 'ours-pg', of: 'p99Ms', most: 5 },
  { measure: 'steady-5ms-1-3000', ours: 'ours-pg', of: 'p99Ms', most: 6 },
  { measure: 'nest', ours: 'ours-nest', over: 'ours-pg' },
];

/** Of Nest's pipeline, on top of a plain function. */
const NEST_MICROSECONDS_MOST = 10;

/**
 * Each goal of which both sides were measured: what was reached, and whether that is enough.
 *
 * @param {import('./table.mjs').Row[]} rows
 * @param {Map<string, string[]>} [earlier] lines of goals that were not measured again
 */
export function goalsTable(rows, earlier = new Map()) {
  const lines = goals.flatMap((goal) => {
    const reached = reachedOf(rows, goal);
    if (Number.isFinite(reached)) {
      return [goal.measure === 'nest' ? nestLine(goal, reached) : lineOf(goal, reached, reachedAlone(rows, goal))];
    }
    const ranAgain = rows.some(({ measure, contender }) => measure === goal.measure && contender === goal.ours);
    return ranAgain ? [] : [earlier.get(buildGoalKey(namesOf(goal)))].filter((line) => line !== undefined);
  });
  if (lines.length === 0) return undefined;
  const head = ['measure', 'ours', 'by', 'reached', 'driver alone', 'wanted', 'aim', ''];
  return ['### Where the queue stands', '', ...grid([head, ...lines])].join('\n');
}

/** @param {Goal} goal @param {number} reached @param {number} alone */
function lineOf(goal, reached, alone) {
  const isMet = goal.least === undefined ? reached <= Number(goal.most) : reached >= goal.least;
  const isAimed = goal.aim !== undefined && (goal.least === undefined ? reached <= goal.aim : reached >= goal.aim);
  const wanted = goal.least === undefined ? `≤ ${goal.most}` : `≥ ${goal.least}`;
  const verdict = isAimed ? 'aim' : isMet ? 'met' : 'MISSED';
  const limit = Number.isFinite(alone) ? alone.toFixed(2) : '';
  return [...namesOf(goal), reached.toFixed(2), limit, wanted, String(goal.aim ?? ''), verdict];
}

const OF = { value: '', p50Ms: ', p50', p99Ms: ', p99', cpu: ', CPU', idlePerProcess: ', idle' };

/** @param {Goal} goal */
function namesOf({ measure, ours, over, overMeasure, of = 'value' }) {
  const other = overMeasure === undefined ? (over ?? '') : `${over}, ${overMeasure}`;
  return [measure + OF[of], ours, other];
}

/** @param {Goal} goal @param {number} microseconds */
function nestLine(goal, microseconds) {
  const verdict = microseconds <= NEST_MICROSECONDS_MOST ? 'met' : 'MISSED';
  return [...namesOf(goal), `+${microseconds.toFixed(1)} µs`, '', `≤ ${NEST_MICROSECONDS_MOST} µs`, '', verdict];
}

/**
 * The median over all rounds of what one contender did beside the other in that round: a machine is not as quick in one as in
 * another. Of two that never stood in one round, the ratio of their medians.
 *
 * @param {import('./table.mjs').Row[]} rows @param {Goal} goal
 */
function reachedOf(rows, goal) {
  const { measure, ours, over, overMeasure = measure } = goal;
  const rowsOf = (/** @type {string} */ name, /** @type {string} */ contender) =>
    rows.filter((row) => row.measure === name && row.contender === contender);
  const mine = rowsOf(measure, ours);
  if (over === undefined) return figureOf(mine, goal);
  const theirs = rowsOf(overMeasure, over);
  const compared = mine.flatMap((row) => {
    const beside = theirs.filter(({ run, round }) => run === row.run && round === row.round);
    return beside.map((other) => comparison(goal, figureOf([row], goal), figureOf([other], goal)));
  });
  return compared.length > 0 ? median(compared) : comparison(goal, figureOf(mine, goal), figureOf(theirs, goal));
}

/** The driver alone on the tables of ours. */
const ALONE = new Map([
  ['ours-pg', 'raw-pg'],
  ['ours-sqlite', 'raw-sqlite'],
  ['ours-sqlite3', 'raw-sqlite3-5ms'],
]);

/**
 * What the driver alone reached beside that contender, in our place. Not a number where it does other work than ours.
 *
 * @param {import('./table.mjs').Row[]} rows @param {Goal} goal
 */
function reachedAlone(rows, goal) {
  const alone = goal.measure === 'pickup' ? 'raw-pg-listening' : ALONE.get(goal.ours);
  if (alone === undefined || goal.over === undefined || goal.over === alone) return NaN;
  if (goal.overMeasure === undefined) return reachedOf(rows, { ...goal, ours: alone });
  return goal.over === goal.ours ? reachedOf(rows, { ...goal, ours: alone, over: alone }) : NaN;
}

/** How much more, of Nest's pipeline; of all else, how many times as much. @param {Goal} goal @param {number} mine @param {number} theirs */
function comparison({ measure }, mine, theirs) {
  return measure === 'nest' ? mine - theirs : mine / theirs;
}

/** The median. @param {import('./table.mjs').Row[]} rows @param {Goal} goal */
function figureOf(rows, { of = 'value' }) {
  const values = rows.map((row) =>
    of === 'cpu' ? Number(row.nodeSeconds) + Number(row.serverSeconds) : Number(row[of]),
  );
  return values.length > 0 ? median(values) : NaN;
}
