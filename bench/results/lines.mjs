import { axisOf, colourOf, drawing, round, short, text } from './drawing.mjs';

const WIDTH = 680;
const HEIGHT = 340;
const LEFT = 60;
const RIGHT = 150;
const TOP = 36;
const BOTTOM = HEIGHT - 34;
const LABEL_GAP = 15;

/**
 * A line for each contender over steps that multiply: they lie at equal distances. 0 lies where the axis begins.
 *
 * @param {{ title: string, unit: string, lines: { name: string, points: { x: number, y: number }[] }[] }} input
 */
export function linesOf({ title, unit, lines }) {
  const xs = [...new Set(lines.flatMap(({ points }) => points.map(({ x }) => x)))].sort((a, b) => a - b);
  const { end, steps } = axisOf(Math.max(...lines.flatMap(({ points }) => points.map(({ y }) => y))));
  const across = (/** @type {number} */ x) =>
    LEFT + ((WIDTH - LEFT - RIGHT) * xs.indexOf(x)) / Math.max(1, xs.length - 1);
  const up = (/** @type {number} */ y) => BOTTOM - ((BOTTOM - TOP) * y) / end;

  const grid = steps.flatMap((step) => [
    `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${round(up(step))}" y2="${round(up(step))}"/>`,
    text(LEFT - 8, up(step) + 4, short(step), 'class="quiet" text-anchor="end"'),
  ]);
  const ticks = xs.map((x) => text(across(x), BOTTOM + 18, short(x), 'class="quiet" text-anchor="middle"'));
  const drawn = lines.flatMap(({ name, points }, index) => {
    const colour = colourOf(name, index);
    const dash = name.includes('sqlite') ? ' stroke-dasharray="6 4"' : '';
    const path = points.map(({ x, y }) => `${round(across(x))},${round(up(y))}`).join(' ');
    return [
      `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"${dash}/>`,
      ...points.map(({ x, y }) => `<circle cx="${round(across(x))}" cy="${round(up(y))}" r="3" fill="${colour}"/>`),
    ];
  });
  const ends = lines.map(({ name, points }, index) => ({ name, index, y: up(points[points.length - 1].y) }));
  const named = apart(ends).flatMap(({ name, index, y }) => [
    `<circle cx="${WIDTH - RIGHT + 12}" cy="${round(y)}" r="4" fill="${colourOf(name, index)}"/>`,
    text(WIDTH - RIGHT + 20, y + 4, name),
  ]);
  const head = text(8, 18, `${title}, ${unit}`, 'class="title"');
  return drawing(WIDTH, HEIGHT, title, [head, ...grid, ...ticks, ...drawn, ...named]);
}

/** Moves labels down until none covers another. @param {{ name: string, index: number, y: number }[]} labels */
export function apart(labels) {
  let free = -Infinity;
  return labels
    .toSorted((a, b) => a.y - b.y)
    .map(({ name, index, y }) => {
      free = Math.max(y, free + LABEL_GAP);
      return { name, index, y: free };
    });
}
