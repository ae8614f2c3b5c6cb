import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Registry } from 'prom-client';
import { NEVER } from 'rxjs';
import type { QueueGauges } from 'nestjs-jobs';
import { registerJobsMetrics } from 'nestjs-jobs/telemetry';

const GUIDE = join(__dirname, '../../docs/guide');
const dashboard = readFileSync(join(GUIDE, 'jobs-dashboard.json'), 'utf8');
const [, alerts = ''] =
  /```yaml\n(# jobs\.rules\.yml.*?)```/s.exec(readFileSync(join(GUIDE, 'watching-it.md'), 'utf8')) ?? [];

interface Panel {
  readonly gridPos: { readonly x: number; readonly w: number };
  readonly targets: readonly { readonly expr: string }[];
}

/** The metrics in PromQL, without the suffixes of histograms. */
function readNames(text: string): string[] {
  const names = text.match(/nestjs_jobs_\w+/g) ?? [];
  return [...new Set(names.map((name) => name.replace(/_bucket$/, '')))].sort();
}

describe('the Grafana dashboard', () => {
  const registry = new Registry();
  registerJobsMetrics(registry, { events: NEVER, gauges: {} as QueueGauges });
  const known = registry.getMetricsAsArray().map(({ name }) => name);

  it('shows every metric, and no other', () => {
    expect(readNames(dashboard)).toEqual(known.toSorted());
  });

  it('has panels within the width of Grafana, each with a query of labels that exist', () => {
    const { panels } = JSON.parse(dashboard) as { panels: Panel[] };
    expect(panels.length).toBeGreaterThan(8);
    for (const { gridPos, targets } of panels) {
      expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
      expect(targets).toHaveLength(1);
      const labels = [...targets[0]!.expr.matchAll(/(\w+)=~?"/g)].map(([, label]) => label);
      expect(['topic', 'status', 'outcome']).toEqual(expect.arrayContaining(labels));
    }
  });

  it('has alerts in the guide that use metrics that exist', () => {
    expect(alerts.match(/- alert:/g)).toHaveLength(3);
    expect(known).toEqual(expect.arrayContaining(readNames(alerts)));
  });
});
