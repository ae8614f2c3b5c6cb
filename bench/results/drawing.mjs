/** What both kinds of plot share: a frame that follows the reader's light or dark mode, colours, round numbers. */

/** Told apart by people who see colours differently, too. */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#8a6d00', '#56b4e9'];

/** Ours is always the same colour. @param {string} name @param {number} index */
export function colourOf(name, index) {
  if (name.includes('sqlite') && name.startsWith('ours')) return COLOURS[5];
  return name.startsWith('ours') ? COLOURS[0] : COLOURS[1 + (index % (COLOURS.length - 2))];
}

/** @param {number} width @param {number} height @param {string} title @param {string[]} parts */
export function drawing(width, height, title, parts) {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">
<title>${escaped(title)}</title>
<style>
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 } .quiet { fill: #57606a } .grid { stroke: #d0d7de } .whisker { stroke: #24292f }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .quiet { fill: #9198a1 } .grid { stroke: #3d444d } .whisker { stroke: #e6edf3 }
}
</style>
${parts.join('\n')}
</svg>
`;
}

/** @param {number} x @param {number} y @param {string} content @param {string} [attributes] */
export function text(x, y, content, attributes = '') {
  return `<text x="${round(x)}" y="${round(y)}" ${attributes}>${escaped(content)}</text>`;
}

/** @param {number} value */
export function round(value) {
  return Math.round(value * 10) / 10;
}

/** Where an axis from 0 ends, and its steps: 1, 2 or 5 and zeros. @param {number} most */
export function axisOf(most) {
  const rough = most / 4;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * unit).find((one) => one >= rough) ?? rough;
  const end = Math.ceil(most / step) * step;
  return { end, steps: Array.from({ length: Math.round(end / step) + 1 }, (_, index) => index * step) };
}

/** @param {number} value */
export function short(value) {
  if (value >= 1e6) return `${round(value / 1e6)} M`;
  if (value >= 1e4) return `${round(value / 1e3)} k`;
  return value.toLocaleString('en-US', { maximumSignificantDigits: 3 });
}

/** @param {string} content */
function escaped(content) {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
