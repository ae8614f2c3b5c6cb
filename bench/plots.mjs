import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { measures } from './measures/index.mjs';
import { barsOf } from './results/bars.mjs';
import { linesOf } from './results/lines.mjs';
import { median } from './results/statistics.mjs';

/*
 * Draws what a run has measured, as SVG for the documentation:
 *
 *   npm run bench:plots -- [results.jsonl] [folder]
 */

/** Figures that are drawn as bars; everything that grows is drawn as lines. */
const BARS = ['drain', 'drain-default', 'drain-2', 'enqueue-one', 'enqueue-64', 'enqueue-bulk', 'together', 'pickup'];

const here = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));
const [file = here('results.jsonl'), folder = here('../docs/plots')] = process.argv.slice(2);

/** @type {import('./results/table.mjs').Row[]} */
const rows = readFileSync(file, 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line))
  .filter((line) => Number.isFinite(line.value));

mkdirSync(folder, { recursive: true });
const draw = (/** @type {string} */ name, /** @type {string} */ svg) => {
  writeFileSync(join(folder, `${name}.svg`), svg);
  console.log(join(folder, `${name}.svg`));
};

/** @param {import('./measures/index.mjs').Measure} measure @param {string} contender */
const valuesOf = (measure, contender) =>
  rows.filter((row) => row.measure === measure.name && row.contender === contender).map(({ value }) => value);

for (const measure of measures.filter(({ name }) => BARS.includes(name))) {
  const bars = measure.contenders
    .map((name) => ({ name, values: valuesOf(measure, name) }))
    .filter(({ values }) => values.length > 0);
  if (bars.length > 0) draw(measure.name, barsOf({ ...measure, bars }));
}

for (const group of new Set(measures.flatMap((measure) => measure.group ?? []))) {
  const steps = measures.filter((measure) => measure.group === group);
  const [{ title, unit, contenders }] = steps;
  const lines = contenders
    .map((name) => ({
      name,
      points: steps
        .map((step) => ({ x: Number(step.x), values: valuesOf(step, name) }))
        .filter(({ values }) => values.length > 0)
        .map(({ x, values }) => ({ x, y: median(values) })),
    }))
    .filter(({ points }) => points.length > 1);
  if (lines.length > 0) draw(group, linesOf({ title, unit, lines }));
}
