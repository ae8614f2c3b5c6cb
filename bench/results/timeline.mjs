import { axisOf, colourOf, drawing, round, short, text } from './drawing.mjs';
import { apart } from './lines.mjs';
import { median } from './statistics.mjs';

const WIDTH = 760;
const HEIGHT = 260;
const LEFT = 60;
const RIGHT = 150;
const TOP = 36;
const BOTTOM = HEIGHT - 40;
/** If there are more points, medians of neighbours are drawn, so that the file stays small. */
const POINTS_MAX = 120;

/** @typedef {{ name: string, points: { seconds: number, value: number }[] }} Line */

/**
 * Draws a line for each contender over the minutes of a run. A grey area marks the time from `from` to `to`, in seconds.
 *
 * @param {{ title: string, unit: string, lines: Line[], held?: { from: number, to: number } }} input
 */
export function drawTimeline({ title, unit, lines, held }) {
  const drawn = lines.map(({ name, points }) => ({ name, points: thin(points) }));
  const all = drawn.flatMap(({ points }) => points);
  const { end, steps } = axisOf(Math.max(...all.map(({ value }) => value), Number.MIN_VALUE));
  const minutes = axisOf(Math.max(...all.map(({ seconds }) => seconds)) / 60);
  const across = (/** @type {number} */ seconds) => LEFT + ((WIDTH - LEFT - RIGHT) * seconds) / 60 / minutes.end;
  const up = (/** @type {number} */ value) => BOTTOM - ((BOTTOM - TOP) * value) / end;

  const area = held
    ? [
        `<rect x="${round(across(held.from))}" y="${TOP}" width="${round(across(held.to) - across(held.from))}" ` +
          `height="${BOTTOM - TOP}" fill="#8c959f" fill-opacity="0.2"/>`,
      ]
    : [];
  const grid = steps.flatMap((step) => [
    `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${round(up(step))}" y2="${round(up(step))}"/>`,
    text(LEFT - 8, up(step) + 4, short(step), 'class="quiet" text-anchor="end"'),
  ]);
  const ticks = minutes.steps.map((step) =>
    text(across(step * 60), BOTTOM + 18, `${short(step)} min`, 'class="quiet" text-anchor="middle"'),
  );
  const paths = drawn.map(({ name, points }, index) => {
    const dash = name.includes('sqlite') ? ' stroke-dasharray="6 4"' : '';
    const path = points.map(({ seconds, value }) => `${round(across(seconds))},${round(up(value))}`).join(' ');
    return `<polyline points="${path}" fill="none" stroke="${colourOf(name, index)}" stroke-width="1.5"${dash}/>`;
  });
  const ends = drawn.map(({ name, points }, index) => ({ name, index, y: up(points[points.length - 1].value) }));
  const names = apart(ends).flatMap(({ name, index, y }) => [
    `<circle cx="${WIDTH - RIGHT + 12}" cy="${round(y)}" r="4" fill="${colourOf(name, index)}"/>`,
    text(WIDTH - RIGHT + 20, y + 4, name),
  ]);
  const head = text(8, 18, `${title}, ${unit}`, 'class="title"');
  return drawing(WIDTH, HEIGHT, title, [head, ...area, ...grid, ...ticks, ...paths, ...names]);
}

/** Medians of neighbours. @param {Line['points']} points */
function thin(points) {
  const size = Math.ceil(points.length / POINTS_MAX);
  return Array.from({ length: Math.ceil(points.length / size) }, (_, index) => {
    const some = points.slice(index * size, (index + 1) * size);
    return { seconds: some[some.length - 1].seconds, value: median(some.map(({ value }) => value)) };
  });
}
