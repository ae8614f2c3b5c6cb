import { chromium } from 'playwright-core';
import { findChromium } from '../../test/support/chromium.js';
import type { DrawnPanel } from './panels.js';
import { dashboard } from './panels.js';

type Format = (value: number) => string;

const WIDTH = 1_280;
/** The grid of Grafana has 24 columns, and rows of a fixed height. */
const COLUMNS = 24;
const ROW_HEIGHT = 35;
const GAP = 8;
/** Room for the axes of a chart. */
const LEFT = 62;
const RIGHT = 20;
const BOTTOM = 18;
const TOP = 8;
const LINES_MAX = 4;

const PALETTE = ['#2f6fde', '#d9822b', '#2a9d5c', '#9b51c9', '#d64545', '#00809d', '#8a7500'];
const THRESHOLD_COLORS: Readonly<Record<string, string>> = { green: '#1f7d47', red: '#c4302b' };

const STYLE = `
  body { margin: 0; padding: ${GAP}px; width: ${WIDTH - 2 * GAP}px; background: #f4f5f7; color: #1d2430;
    font: 13px/1.4 'DejaVu Sans', Arial, sans-serif; }
  h1 { margin: 2px 0 ${GAP}px; font-size: 17px; }
  h2 small { color: #5c6675; font-weight: 400; font-size: 11px; }
  main { display: grid; grid-template-columns: repeat(${COLUMNS}, 1fr); grid-auto-rows: ${ROW_HEIGHT - GAP}px; gap: ${GAP}px; }
  section { box-sizing: border-box; min-width: 0; padding: 6px 10px; background: #fff; border: 1px solid #dde1e7; border-radius: 3px; }
  h2 { margin: 0; font-size: 13px; line-height: 1.3; }
  h2 small { display: block; margin: 0; }
  .stat { font-size: 36px; font-weight: 600; line-height: 76px; text-align: center; }
  svg { display: block; }
  svg text { fill: #5c6675; font-size: 11px; }
  .legend { color: #3c4655; font-size: 11px; line-height: 1.3; }
  .legend span { display: inline-block; margin-right: 12px; }
  .legend i { display: inline-block; width: 12px; height: 3px; margin-right: 5px; vertical-align: middle; }`;

const FORMATS: Readonly<Record<string, Format>> = {
  short: toDigits,
  ops: (value) => `${toDigits(value)} ops/s`,
  percentunit: (value) => `${toDigits(value * 100)} %`,
  s: (value) => {
    if (value === 0) return '0 s';
    if (value < 1) return `${toDigits(value * 1_000)} ms`;
    return value < 120 ? `${toDigits(value)} s` : `${toDigits(value / 60)} min`;
  },
};

/** Draws the panels where the dashboard places them, from the values of Prometheus. */
export async function drawPicture(panels: readonly DrawnPanel[], path: string): Promise<void> {
  const browser = await chromium.launch({ executablePath: findChromium(), args: ['--no-sandbox', '--disable-gpu'] });
  try {
    const page = await browser.newPage({ viewport: { width: WIDTH, height: 600 } });
    await page.setContent(
      `<style>${STYLE}</style><h1>${dashboard.title}</h1><main>${panels.map(drawPanel).join('')}</main>`,
    );
    await page.screenshot({ path, fullPage: true });
  } finally {
    await browser.close();
  }
}

function drawPanel(drawn: DrawnPanel): string {
  const { title, description, type, gridPos, fieldConfig } = drawn.panel;
  const { x, y, w, h } = gridPos;
  const format = FORMATS[fieldConfig.defaults.unit]!;
  return `<section style="grid-area: ${y + 1} / ${x + 1} / span ${h} / span ${w}">
    <h2>${escape(title)}<small>${escape(description)}</small></h2>
    ${type === 'stat' ? drawNumber(drawn, format) : drawChart(drawn, format)}
  </section>`;
}

/** The last value, in the colour of its threshold. */
function drawNumber({ panel, series }: DrawnPanel, format: Format): string {
  const last = series[0]!.points.findLast(([, value]) => value !== null)![1]!;
  const steps = panel.fieldConfig.defaults.thresholds?.steps ?? [];
  const color = steps.findLast(({ value }) => value === null || last >= value)?.color ?? '';
  return `<div class="stat" style="color: ${THRESHOLD_COLORS[color] ?? 'inherit'}">${format(last)}</div>`;
}

function drawChart({ panel, series }: DrawnPanel, format: Format): string {
  const { fillOpacity = 0, stacking } = panel.fieldConfig.defaults.custom ?? {};
  const width = (panel.gridPos.w / COLUMNS) * (WIDTH - 2 * GAP) - GAP - 22;
  const height = panel.gridPos.h * ROW_HEIGHT - GAP - 80;
  const times = [...new Set(series.flatMap(({ points }) => points.map(([at]) => at)))].sort((a, b) => a - b);
  const rows = series.map(({ points }) => {
    const values = new Map(points);
    return times.map((at) => values.get(at) ?? null);
  });
  const isStacked = stacking?.mode === 'normal';
  const lines = isStacked ? rows.map((_, index) => sumRows(rows.slice(0, index + 1))) : rows;
  const ticks = toTicks(Math.max(...lines.flat().map((value) => value ?? 0)));
  const [start, end] = [times[0]!, times.at(-1)!];
  const toX = (at: number): number => LEFT + ((at - start) / (end - start)) * (width - LEFT - RIGHT);
  const toY = (value: number): number => TOP + (1 - value / ticks.at(-1)!) * (height - TOP - BOTTOM);

  const grid = ticks.map(
    (tick) => `<path d="M${LEFT} ${toY(tick)}H${width}" stroke="#e8ebef"/>
      <text x="${LEFT - 6}" y="${toY(tick) + 4}" text-anchor="end">${format(tick)}</text>`,
  );
  const minutes = times.filter((at) => at % toTimeStep(end - start) === 0);
  const clock = minutes.map(
    (at) => `<text x="${toX(at)}" y="${height - 2}" text-anchor="middle">${formatTime(at)}</text>`,
  );
  // The highest of stacked lines first: the areas of the others cover it.
  const shapes = lines.map((line, index) => {
    const below = isStacked ? lines[index - 1] : undefined;
    const color = PALETTE[index % PALETTE.length]!;
    const area = fillOpacity > 0 ? drawArea(times, line, below, toX, toY) : '';
    return `<path d="${area}" fill="${color}" fill-opacity="${fillOpacity / 100}"/>
      <path d="${drawLine(times, line, toX, toY)}" fill="none" stroke="${color}" stroke-width="1.5" stroke-linejoin="round"/>`;
  });
  const legend = series.map(
    ({ name }, index) => `<span><i style="background: ${PALETTE[index % PALETTE.length]!}"></i>${escape(name)}</span>`,
  );
  return `<svg width="${width}" height="${height}">${[...grid, ...clock, ...shapes].join('')}</svg>
    <div class="legend">${legend.join('')}</div>`;
}

type Scale = (value: number) => number;
type Row = readonly (number | null)[];

/** The line breaks where there is no value. */
function drawLine(times: readonly number[], row: Row, toX: Scale, toY: Scale): string {
  const parts = row.map((value, index) => {
    if (value === null) return '';
    const isFirst = index === 0 || row[index - 1] === null;
    return `${isFirst ? 'M' : 'L'}${toX(times[index]!).toFixed(1)} ${toY(value).toFixed(1)}`;
  });
  return parts.join('');
}

function drawArea(times: readonly number[], row: Row, below: Row | undefined, toX: Scale, toY: Scale): string {
  const upper = times.map((at, index) => [at, row[index] ?? 0] as const);
  const lower = times.map((at, index) => [at, below?.[index] ?? 0] as const).reverse();
  return `M${[...upper, ...lower].map(([at, value]) => `${toX(at).toFixed(1)} ${toY(value).toFixed(1)}`).join('L')}Z`;
}

function sumRows(rows: readonly Row[]): number[] {
  return rows[0]!.map((_, at) => rows.reduce((sum, row) => sum + (row[at] ?? 0), 0));
}

/** From 0 to at least `max`, in steps of 1, 2 or 5 times a power of ten. */
function toTicks(max: number): number[] {
  const rough = (max || 1) / LINES_MAX;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough)!;
  return Array.from({ length: Math.ceil((max || 1) / step) + 1 }, (_, index) => index * step);
}

/** Seconds between two times below a chart. */
function toTimeStep(seconds: number): number {
  return [10, 30, 60, 120, 300, 600].find((step) => seconds / step <= 6) ?? 3_600;
}

function formatTime(at: number): string {
  return new Date(at * 1_000).toISOString().slice(11, 16);
}

function toDigits(value: number): string {
  return String(Number(value.toPrecision(3)));
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
