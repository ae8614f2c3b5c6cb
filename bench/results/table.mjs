import { median } from './statistics.mjs';

/**
 * @typedef {import('../measures/index.mjs').Measure} Measure
 * @typedef {import('../measures/index.mjs').Figure & { measure: string, contender: string, round: number, group?: string,
 *   x?: number, run?: number }} Row
 */

/**
 * One measure: each contender's median, its range, and how many times better ours is; nothing when nobody was measured.
 *
 * @param {Measure} measure
 * @param {Row[]} rows
 */
export function tableOf({ name: measured, title, unit, better, contenders }, rows) {
  const of = (/** @type {string} */ name) => rows.filter((row) => row.contender === name && row.measure === measured);
  const lines = contenders
    .filter((name) => of(name).length > 0)
    .map((name) => {
      const own = of(name);
      const values = own.map((row) => row.value);
      const reference = referenceFor(name, of);
      const ratio = better === 'more' ? reference / median(values) : median(values) / reference;
      return [
        name,
        number(median(values)),
        `${number(Math.min(...values))} – ${number(Math.max(...values))}`,
        Number.isFinite(ratio) ? `${ratio.toFixed(2)} ×` : '',
        ...COLUMNS.map(({ key }) => column(own, key)),
      ];
    });
  if (lines.length === 0) return undefined;
  const head = ['', unit, 'range', 'ours is', ...COLUMNS.map(({ title: shown }) => shown)];
  const used = head.map((_, index) => index < 4 || lines.some((line) => line[index] !== ''));
  const shown = [head, ...lines].map((line) => line.filter((_, index) => used[index]));
  return [`### ${title}`, '', ...grid(shown), ...details(contenders.flatMap(of))].join('\n');
}

/** Beside the value: medians of what else a measurement notes. CPU seconds are those for 100,000 jobs. */
const COLUMNS = [
  { key: 'p50Ms', title: 'p50 ms' },
  { key: 'p95Ms', title: 'p95 ms' },
  { key: 'p99Ms', title: 'p99 ms' },
  { key: 'p999Ms', title: 'p99.9 ms' },
  { key: 'nodeSeconds', title: 'Node s' },
  { key: 'serverSeconds', title: 'server s' },
  { key: 'walBytes', title: 'WAL bytes' },
  { key: 'peakMb', title: 'MB' },
];

/**
 * Measures that differ in one thing: a line for each contender, a column for each step, medians.
 *
 * @param {Measure[]} measures
 * @param {Row[]} rows
 */
export function groupTableOf(measures, rows) {
  const of = (/** @type {string} */ name, /** @type {Measure} */ measure) =>
    rows.filter((row) => row.contender === name && row.measure === measure.name);
  const names = measures[0].contenders.filter((name) => measures.some((measure) => of(name, measure).length > 0));
  if (names.length === 0) return undefined;
  const head = [measures[0].unit, ...measures.map(({ x }) => Number(x).toLocaleString('en-US'))];
  const lines = names.map((name) => [name, ...measures.map((measure) => cellOf(of(name, measure)))]);
  return [`### ${measures[0].title}`, '', ...grid([head, ...lines]), ...groupDetails(measures, rows)].join('\n');
}

/** The median. If the queue fell behind in most rounds, the rate that it reached. @param {Row[]} rows */
function cellOf(rows) {
  const reached = rows.flatMap(({ reachedRate }) => reachedRate ?? []);
  if (reached.length * 2 > rows.length) return fellBehind(median(reached));
  return rows.length > 0 ? number(median(rows.map(({ value }) => value))) : '';
}

/** @param {number} rate jobs a second */
export function fellBehind(rate) {
  return `fell behind: ${number(rate)}/s`;
}

/** Returns the other figures of a group of measures: a line for each contender and step. @param {Measure[]} measures @param {Row[]} rows */
function groupDetails(measures, rows) {
  const lines = measures.flatMap((measure) =>
    measure.contenders.flatMap((name) => {
      const own = rows.filter((row) => row.contender === name && row.measure === measure.name);
      const cells = GROUP_COLUMNS.map(({ key }) => column(own, key));
      return cells.some((cell) => cell !== '') ? [[name, number(Number(measure.x), 0), ...cells]] : [];
    }),
  );
  if (lines.length === 0) return [];
  const head = ['', measures[0].xTitle ?? '', ...GROUP_COLUMNS.map(({ title }) => title)];
  const isUsed = head.map((_, index) => lines.some((line) => line[index] !== ''));
  return ['', ...grid([head, ...lines].map((line) => line.filter((_, index) => isUsed[index])))];
}

const GROUP_COLUMNS = [
  { key: 'countedPerJob', title: 'per job, server' },
  { key: 'p50Ms', title: 'wait p50 ms' },
  { key: 'p99Ms', title: 'p99 ms' },
  { key: 'p999Ms', title: 'p99.9 ms' },
  { key: 'nodeSeconds', title: 'Node s' },
  { key: 'serverSeconds', title: 'server s' },
  { key: 'idlePerProcess', title: 'idle: /s each' },
  { key: 'countedIdlePerProcess', title: 'idle: /s each, server' },
  { key: 'workersUsed', title: 'processes used' },
];

/** What does not fit into one line each: rates of a drain's pieces, times of single calls. @param {Row[]} rows */
function details(rows) {
  const first = rows.filter((row) => row.round === 0);
  const rates = first
    .filter((row) => row.rates)
    .map(({ contender, rates: pieces = [] }) => [contender, ...pieces.map(number)]);
  const calls = first.flatMap(({ contender, parts = [] }) =>
    parts.map((part) => [contender, part.name, number(part.p50Ms), number(part.p99Ms)]),
  );
  return [
    ...(rates.length > 0
      ? ['', ...grid([['jobs/s by piece', ...rates[0].slice(1).map((_, n) => String(n + 1))], ...rates])]
      : []),
    ...(calls.length > 0 ? ['', ...grid([['', 'call', 'p50 ms', 'p99 ms'], ...calls])] : []),
  ];
}

/** Ours of the same database, in its best settings, or what there is of ours. */
function referenceFor(/** @type {string} */ name, /** @type {(name: string) => Row[]} */ of) {
  const isSqlite = /sqlite|plainjob/.test(name);
  const mine = isSqlite ? ['ours-sqlite', 'ours-sqlite-default'] : ['ours-pg', 'ours-pg-default', 'ours-nest'];
  const isDefault = name.endsWith('-default');
  const found = (isDefault ? mine.toReversed() : mine).find((one) => of(one).length > 0);
  return found ? median(of(found).map((row) => row.value)) : NaN;
}

/** @param {Row[]} rows @param {string} key */
function column(rows, key) {
  const values = rows.map((row) => /** @type {any} */ (row)[key]).filter((value) => Number.isFinite(value));
  return values.length > 0 ? number(median(values)) : '';
}

/** @param {number} value @param {number} [fixed] digits behind the point; as many as are useful by default */
export function number(value, fixed) {
  if (!Number.isFinite(value)) return '';
  const digits = fixed ?? (Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2);
  return value.toLocaleString('en-US', { maximumFractionDigits: digits, minimumFractionDigits: digits });
}

/** A table as Markdown and people read it. @param {string[][]} lines */
export function grid(lines) {
  const widths = (lines[0] ?? []).map((_, index) => Math.max(...lines.map((line) => String(line[index]).length)));
  const row = (/** @type {string[]} */ line) =>
    `| ${line.map((cell, index) => (index === 0 ? cell.padEnd(Number(widths[index])) : cell.padStart(Number(widths[index])))).join(' | ')} |`;
  const rule = `|${widths.map((width, index) => (index === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`;
  const [head, ...body] = lines.map(row);
  return [String(head), rule, ...body];
}
