import { messages } from '../messages/messages.js';
import { clockText } from '../text/moment.js';
import { showsUtc } from '../text/time-zone.js';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import './plot.css';
import type { Series } from './chart-series.js';

const HEIGHT = 184;
/** So few values of a line are marked. */
const SPARSE_MAX = 10;

/** Steps of an axis of durations, in milliseconds: those that a clock or a calendar has. */
const DURATION_STEPS_MS = [
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500],
  ...[1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800].map((seconds) => seconds * 1_000),
  ...[1, 2, 3, 6, 12, 24, 48, 120, 240, 480, 960, 2_400, 4_800, 9_600].map((hours) => hours * 3_600_000),
];
/** The narrowest axis, and the width of a character of its font, at most. */
const AXIS_WIDTH_MIN = 44;
const CHARACTER_WIDTH = 7;
/** Chinese characters are as wide as the font is high. */
const WIDE_CHARACTER_WIDTH = 12;

/** A drawing of some series over time. Columns are stacked, the first one on top. */
export class Plot {
  readonly #plot: uPlot;
  #series: readonly Series[];

  constructor(
    private readonly host: HTMLElement,
    series: readonly Series[],
    private readonly format: (value: number) => string,
  ) {
    this.#series = series;
    this.#plot = new uPlot(this.#options(series), [[], ...series.map(() => [])], host);
  }

  show(times: readonly number[], series: readonly Series[]): void {
    this.#series = series;
    this.#plot.setData([[...times], ...series.map((_, index) => stacked(series, index))] as uPlot.AlignedData);
  }

  fit(width: number): void {
    if (width > 0) this.#plot.setSize({ width, height: HEIGHT });
  }

  remove(): void {
    this.#plot.destroy();
  }

  #options(series: readonly Series[]): uPlot.Options {
    const axis: uPlot.Axis = {
      stroke: this.#color('--muted'),
      font: '11px system-ui, sans-serif',
      grid: { stroke: this.#color('--line'), width: 1 },
      ticks: { show: false },
    };
    return {
      width: this.host.clientWidth,
      height: HEIGHT,
      // Marks full hours of the time zone of the page.
      tzDate: (at) => (showsUtc() ? uPlot.tzDate(new Date(at * 1_000), 'Etc/UTC') : new Date(at * 1_000)),
      padding: [12, 20, 0, 0],
      cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
      legend: { markers: { width: 0, fill: (_, index) => this.#color(series[index - 1]?.color ?? '--muted') } },
      axes: [
        { ...axis, space: 70, size: 26, values: (_, ticks) => ticks.map(toClock) },
        {
          ...axis,
          size: (_, texts) => toAxisWidth(texts),
          space: 36,
          values: (_, ticks) => ticks.map((tick) => this.#tickText(tick)),
          // Lines are durations, columns are jobs.
          ...(series.every(({ kind }) => kind === 'line') && { incrs: DURATION_STEPS_MS }),
        },
      ],
      scales: {
        // Half a column of room at both ends.
        x: { range: ({ data: [times] }, min, max) => [min - halfStep(times), max + halfStep(times)] },
        y: { range: (_, __, max) => [0, max > 0 ? max * 1.1 : 1] },
      },
      series: [
        {
          label: messages.jobs.time,
          value: (_, at) => (at == null ? '–' : toClock(at)),
        },
        ...series.map((each, index) => this.#line(each, index)),
      ],
    };
  }

  /** Parts of a job say nothing, nor do heights where nothing stands. */
  #tickText(tick: number): string {
    const isPart = this.#series.some(({ kind }) => kind === 'columns') && !Number.isInteger(tick);
    const isFlat = this.#series.every(({ values }) => values.every((value) => !value));
    return isPart || (isFlat && tick > 0) ? '' : this.format(tick);
  }

  #line({ label, color, kind }: Series, index: number): uPlot.Series {
    const stroke = this.#color(color);
    const value: uPlot.Series.Value = (_, __, ___, at) => {
      const raw = at == null ? undefined : this.#series[index]?.values[at];
      return raw == null ? '–' : this.format(raw);
    };
    if (kind === 'line') {
      const points = { show: () => this.#isSparse(index), size: 4, fill: stroke };
      return { label, stroke, value, width: 1.75, points, spanGaps: true };
    }
    return {
      label,
      stroke,
      fill: stroke,
      value,
      width: 0,
      points: { show: false },
      paths: uPlot.paths.bars!({ size: [0.7, 24] }),
    };
  }

  /** One value alone makes no line. */
  #isSparse(index: number): boolean {
    const values = this.#series[index]?.values ?? [];
    return values.filter((value) => value !== null).length <= SPARSE_MAX;
  }

  /** As the theme gives it: a canvas knows no variables. */
  #color(name: string): string {
    const probe = document.createElement('i');
    probe.style.color = `var(${name})`;
    this.host.append(probe);
    const { color } = getComputedStyle(probe);
    probe.remove();
    return color;
  }
}

/** Returns a width that shows the longest text whole. @param texts `null` before the ticks are known */
function toAxisWidth(texts: readonly string[] | null): number {
  const widths = (texts ?? []).map((text) =>
    [...text].reduce((sum, each) => sum + (each.codePointAt(0)! > 0x2e80 ? WIDE_CHARACTER_WIDTH : CHARACTER_WIDTH), 14),
  );
  return Math.max(AXIS_WIDTH_MIN, ...widths);
}

/** @param at in seconds, as all times of the chart */
function toClock(at: number): string {
  return clockText(new Date(at * 1_000).toISOString());
}

function halfStep([first = 0, second = first]: ArrayLike<number> & Iterable<number>): number {
  return (second - first) / 2;
}

/** Values of columns with those that are drawn over them added; lines as they are. */
function stacked(series: readonly Series[], index: number): (number | null)[] {
  const { kind, values } = series[index]!;
  if (kind === 'line') return [...values];
  const above = series.slice(index + 1).filter((each) => each.kind === 'columns');
  return values.map((value, at) => above.reduce((total, each) => total + (each.values[at] ?? 0), value ?? 0));
}
