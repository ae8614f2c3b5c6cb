import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parser } from '@prometheus-io/lezer-promql';
import { Registry } from 'prom-client';
import { NEVER } from 'rxjs';
import type { QueueGauges } from 'nestjs-jobs';
import { registerJobsMetrics } from 'nestjs-jobs/telemetry';

const GUIDE = join(__dirname, '../../docs/guide');
const { panels } = JSON.parse(readFileSync(join(GUIDE, 'jobs-dashboard.json'), 'utf8')) as { panels: Panel[] };
const [, rules = ''] =
  /```yaml\n(# jobs\.rules\.yml.*?)```/s.exec(readFileSync(join(GUIDE, 'watching-it.md'), 'utf8')) ?? [];

const panelQueries = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
const alertQueries = [...rules.matchAll(/expr: (?:>\s+)?([^]+?)\n +for:/g)].map(([, expr]) => expr!);

interface Panel {
  readonly gridPos: { readonly x: number; readonly w: number };
  readonly targets: readonly { readonly expr: string }[];
}

interface ReadQuery {
  readonly metrics: string[];
  /** In matchers, and in `by` and `without`. */
  readonly labels: string[];
  /** Where the text is not PromQL. */
  readonly errors: string[];
}

/** Parses a query as Prometheus does, with the values that Grafana gives to its variables. */
function readQuery(query: string): ReadQuery {
  const text = query.replace('$__rate_interval', '1m');
  const read: ReadQuery = { metrics: [], labels: [], errors: [] };
  parser.parse(text).iterate({
    enter({ name, type, from, to }) {
      const token = text.slice(from, to);
      if (type.isError) read.errors.push(`${text.slice(0, from)} here ${text.slice(from)}`);
      if (name === 'Identifier') read.metrics.push(token);
      if (name === 'LabelName') read.labels.push(token);
    },
  });
  return read;
}

describe('the queries of the Grafana dashboard and of the alerts', () => {
  const registry = new Registry();
  registerJobsMetrics(registry, { events: NEVER, gauges: {} as QueueGauges });
  const metrics = registry.getMetricsAsArray() as unknown as { name: string; type: string; labelNames: string[] }[];
  /** The labels of each series. */
  const series = new Map(
    metrics.map(({ name, type, labelNames }) =>
      type === 'histogram' ? [`${name}_bucket`, [...labelNames, 'le']] : [name, labelNames],
    ),
  );

  it.each([...panelQueries, ...alertQueries])('%s is PromQL of series and labels that exist', (query) => {
    const { metrics: names, labels, errors } = readQuery(query);
    expect(errors).toEqual([]);
    expect(names.length).toBeGreaterThan(0);
    expect([...series.keys()]).toEqual(expect.arrayContaining(names));
    const known = names.flatMap((name) => series.get(name)!);
    expect(known).toEqual(expect.arrayContaining(labels));
  });

  it('are checked: a typing error is found', () => {
    expect(readQuery('sum by topic (nestjs_jobs_jobs)').errors).not.toEqual([]);
    expect(readQuery('max(nestjs_jobs_jobs{topic="a"}').errors).not.toEqual([]);
  });

  it('show every metric in a panel, and alert three times', () => {
    expect(new Set(panelQueries.flatMap((query) => readQuery(query).metrics))).toEqual(new Set(series.keys()));
    expect(alertQueries).toHaveLength(3);
  });

  it('are one for each panel, within the width of Grafana', () => {
    expect(panels.length).toBeGreaterThan(8);
    for (const { gridPos, targets } of panels) {
      expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
      expect(targets).toHaveLength(1);
    }
  });
});
