import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Prometheus, Series } from './prometheus.js';

const GUIDE = resolve(__dirname, '../../docs/guide');
/** What Grafana sets for `$__rate_interval` if the data source has its default scrape interval of 15 s. */
const RATE_INTERVAL = '1m';

interface Step {
  readonly color: string;
  readonly value: number | null;
}

export interface Panel {
  readonly title: string;
  readonly description: string;
  readonly type: 'stat' | 'timeseries';
  readonly gridPos: Readonly<Record<'x' | 'y' | 'w' | 'h', number>>;
  readonly targets: readonly { readonly expr: string; readonly legendFormat: string }[];
  readonly fieldConfig: {
    readonly defaults: {
      readonly unit: string;
      readonly thresholds?: { readonly steps: readonly Step[] };
      readonly custom?: { readonly fillOpacity: number; readonly stacking: { readonly mode: 'none' | 'normal' } };
    };
  };
}

interface Dashboard {
  readonly title: string;
  readonly templating: { readonly list: readonly { readonly query: string | { readonly query: string } }[] };
  readonly panels: readonly Panel[];
}

/** What Prometheus returned for a panel. */
export interface DrawnPanel {
  readonly panel: Panel;
  readonly series: readonly { readonly name: string; readonly points: Series['points'] }[];
}

export const dashboard = JSON.parse(readFileSync(join(GUIDE, 'jobs-dashboard.json'), 'utf8')) as Dashboard;

/** The rules of the page "Watching it". */
export function readRules(): string {
  const page = readFileSync(join(GUIDE, 'watching-it.md'), 'utf8');
  const [, rules] = /```yaml\n(# jobs\.rules\.yml.*?)```/s.exec(page) ?? [];
  if (rules === undefined) throw new Error('watching-it.md has no block of rules');
  return rules;
}

/** Runs the query of each panel. Throws if one returns no number. */
export async function readPanels(prometheus: Prometheus, start: number, end: number): Promise<DrawnPanel[]> {
  // Whole seconds, so that full minutes are among the times.
  const step = [1, 2, 5, 10].find((each) => (end - start) / each <= 300) ?? 15;
  return Promise.all(
    dashboard.panels.map(async (panel) => {
      const [target] = panel.targets;
      const query = target!.expr.replaceAll('$__rate_interval', RATE_INTERVAL).replaceAll('$topic', '.*');
      const answers = await prometheus.range(query, Math.ceil(start / step) * step, end, step);
      if (!answers.some(hasNumber)) throw new Error(`the panel "${panel.title}" shows nothing: ${query}`);
      const series = answers.map(({ labels, points }) => ({ name: toLegend(target!.legendFormat, labels), points }));
      return { panel, series: series.sort((a, b) => a.name.localeCompare(b.name)) };
    }),
  );
}

/** Checks the topics that one can select at the top. */
export async function checkVariables(prometheus: Prometheus): Promise<void> {
  for (const { query } of dashboard.templating.list) {
    if (typeof query === 'string') continue;
    const [, metric, label] = /^label_values\((\w+), (\w+)\)$/.exec(query.query) ?? [];
    const values = await prometheus.labelValues(label!, metric!);
    if (values.length === 0) throw new Error(`no values for ${query.query}`);
  }
}

/** Checks that Prometheus evaluates each alert, and that its query without the threshold returns numbers. */
export async function checkAlerts(prometheus: Prometheus): Promise<void> {
  for (const { name, query, state, health, lastError } of await prometheus.rules()) {
    const values = await prometheus.instant(query.replace(/ (?:>|==) [\d.]+(?: or absent.*)?$/, ''));
    if (health !== 'ok' || !values.some(hasNumber)) {
      throw new Error(`the alert ${name} is ${health} and reads ${values.length} series: ${lastError ?? query}`);
    }
    console.log(`${name}: ${health}, ${state}, reads ${values.length} series`);
  }
}

function hasNumber({ points }: Series): boolean {
  return points.some(([, value]) => value !== null);
}

function toLegend(format: string, labels: Series['labels']): string {
  return format.replace(/\{\{(\w+)\}\}/g, (_, label: string) => labels[label] ?? '');
}
