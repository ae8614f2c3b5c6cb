import { median } from './statistics.mjs';

/**
 * @typedef {import('../measures/index.mjs').Figure & { measure: string, contender: string, round: number }} Row
 */

/**
 * One measure: each contender's median, its range, and how many times better ours is.
 *
 * @param {import('../measures/index.mjs').Measure} measure
 * @param {Row[]} rows of that measure
 */
export function tableOf({ title, unit, better, contenders }, rows) {
  const of = (/** @type {string} */ name) => rows.filter((row) => row.contender === name);
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
        ...['p50Ms', 'p99Ms', 'nodeSeconds', 'serverSeconds', 'peakMb'].map((key) => column(own, key)),
      ];
    });
  const head = ['', unit, 'range', 'ours is', 'p50 ms', 'p99 ms', 'Node s', 'server s', 'MB'];
  const used = head.map((_, index) => index < 4 || lines.some((line) => line[index] !== ''));
  return [`### ${title}`, '', ...grid([head, ...lines].map((line) => line.filter((_, index) => used[index])))].join(
    '\n',
  );
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

/** @param {number} value */
export function number(value) {
  if (!Number.isFinite(value)) return '';
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString('en-US', { maximumFractionDigits: digits, minimumFractionDigits: digits });
}

/** A table as Markdown and people read it. @param {string[][]} lines */
function grid(lines) {
  const widths = (lines[0] ?? []).map((_, index) => Math.max(...lines.map((line) => String(line[index]).length)));
  const row = (/** @type {string[]} */ line) =>
    `| ${line.map((cell, index) => (index === 0 ? cell.padEnd(Number(widths[index])) : cell.padStart(Number(widths[index])))).join(' | ')} |`;
  const rule = `|${widths.map((width, index) => (index === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`;
  const [head, ...body] = lines.map(row);
  return [String(head), rule, ...body];
}
