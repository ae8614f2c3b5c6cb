import { axisOf, colourOf, drawing, round, short, text } from './drawing.mjs';
import { median } from './statistics.mjs';

const WIDTH = 680;
const LEFT = 170;
const RIGHT = 70;
const TOP = 36;
const ROW = 24;

/**
 * A bar for each contender: the median, with the range as a whisker.
 *
 * @param {{ title: string, unit: string, bars: { name: string, values: number[] }[] }} input
 */
export function barsOf({ title, unit, bars }) {
  const { end, steps } = axisOf(Math.max(...bars.flatMap(({ values }) => values)));
  const at = (/** @type {number} */ value) => LEFT + ((WIDTH - LEFT - RIGHT) * value) / end;
  const bottom = TOP + bars.length * ROW;
  const grid = steps.flatMap((step) => [
    `<line class="grid" x1="${round(at(step))}" x2="${round(at(step))}" y1="${TOP}" y2="${bottom}"/>`,
    text(at(step), bottom + 16, short(step), 'class="quiet" text-anchor="middle"'),
  ]);
  const rows = bars.flatMap(({ name, values }, index) => {
    const middle = TOP + index * ROW + ROW / 2;
    const value = median(values);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    return [
      text(LEFT - 8, middle + 4, name, 'text-anchor="end"'),
      `<rect x="${LEFT}" y="${middle - 8}" width="${round(at(value) - LEFT)}" height="16" fill="${colourOf(name, 0)}"/>`,
      `<line class="whisker" x1="${round(at(low))}" x2="${round(at(high))}" y1="${middle}" y2="${middle}"/>`,
      text(at(high) + 6, middle + 4, short(value)),
    ];
  });
  return drawing(WIDTH, bottom + 26, title, [text(8, 18, `${title}, ${unit}`, 'class="title"'), ...grid, ...rows]);
}
