import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { barsOf } from './bars.mjs';
import { linesOf } from './lines.mjs';
import { median } from './statistics.mjs';

/** @typedef {import('../measures/index.mjs').Measure} Measure */
/** @typedef {import('./table.mjs').Row} Row */

/** Figures that are drawn as bars; everything that grows is drawn as lines. */
const BARS = ['drain', 'drain-default', 'drain-2', 'enqueue-one', 'enqueue-64', 'enqueue-bulk', 'together', 'pickup'];

/** The folder of the pages that hold all figures. */
export const RESULTS = import.meta.dirname;

/** Returns the file of a plot: in docs/plots/ if it is there already, because a page of docs/ shows it. @param {string} name */
export function findPlotFile(name) {
  const shown = join(RESULTS, '../../docs/plots', `${name}.svg`);
  return existsSync(shown) ? shown : join(RESULTS, 'plots', `${name}.svg`);
}

/**
 * SVG by the name of the measure or group, of those that were measured.
 *
 * @param {Measure[]} measures
 * @param {Row[]} rows
 * @returns {Map<string, string>}
 */
export function plotsOf(measures, rows) {
  const valuesOf = (/** @type {Measure} */ measure, /** @type {string} */ contender) =>
    rows
      .filter((row) => row.measure === measure.name && row.contender === contender && row.reachedRate === undefined)
      .map(({ value }) => value);

  const bars = measures
    .filter(({ name }) => BARS.includes(name))
    .map((measure) => {
      const all = measure.contenders.map((name) => ({ name, values: valuesOf(measure, name) }));
      return { name: measure.name, measure, bars: all.filter(({ values }) => values.length > 0) };
    })
    .filter((plot) => plot.bars.length > 0)
    .map((plot) => /** @type {[string, string]} */ ([plot.name, barsOf({ ...plot.measure, bars: plot.bars })]));

  const groups = [...new Set(measures.flatMap((measure) => measure.group ?? []))].flatMap((group) => {
    const steps = measures.filter((measure) => measure.group === group);
    const lines = steps[0].contenders
      .map((name) => ({ name, points: pointsOf(steps, (step) => valuesOf(step, name)) }))
      .filter(({ points }) => points.length > 1);
    const { title, unit } = steps[0];
    return lines.length > 0 ? [/** @type {[string, string]} */ ([group, linesOf({ title, unit, lines })])] : [];
  });
  return new Map([...bars, ...groups]);
}

/** @param {Measure[]} steps @param {(step: Measure) => number[]} valuesOf */
function pointsOf(steps, valuesOf) {
  return steps.flatMap((step) => {
    const values = valuesOf(step);
    return values.length > 0 ? [{ x: Number(step.x), y: median(values) }] : [];
  });
}
