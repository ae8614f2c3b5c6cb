import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '../../test/support/wait.js';

interface Answer<T> {
  readonly status: 'success' | 'error';
  readonly data: T;
  readonly error?: string;
}

interface RangeResult {
  readonly metric: Readonly<Record<string, string>>;
  readonly values?: readonly [number, string][];
  readonly value?: readonly [number, string];
}

/** A series of an answer. `null` stands for no value at that time, and for `NaN`. */
export interface Series {
  readonly labels: Readonly<Record<string, string>>;
  readonly points: readonly (readonly [at: number, value: number | null])[];
}

export interface Rule {
  readonly name: string;
  readonly query: string;
  readonly state: string;
  readonly health: string;
  readonly lastError?: string;
}

interface Scrape {
  readonly ports: readonly number[];
  readonly path: string;
  readonly token: string;
  readonly everySeconds: number;
}

/** A Prometheus on the loopback interface with its files in `folder`. JOBS_PROMETHEUS names the program. */
export class Prometheus {
  private constructor(
    private readonly child: ChildProcess,
    private readonly url: string,
  ) {}

  static async start(folder: string, port: number, rules: string, scrape: Scrape): Promise<Prometheus> {
    const every = `${scrape.everySeconds}s`;
    writeFileSync(join(folder, 'jobs.rules.yml'), rules);
    writeFileSync(join(folder, 'token'), scrape.token);
    writeFileSync(
      join(folder, 'prometheus.yml'),
      `global: { scrape_interval: ${every}, evaluation_interval: 5s }
rule_files: [jobs.rules.yml]
scrape_configs:
  - job_name: shop
    metrics_path: ${scrape.path}
    authorization: { credentials_file: token }
    static_configs: [{ targets: ${JSON.stringify(scrape.ports.map((each) => `127.0.0.1:${each}`))} }]
`,
    );
    const child = spawn(
      process.env.JOBS_PROMETHEUS ?? 'prometheus',
      ['--config.file=prometheus.yml', '--storage.tsdb.path=data', `--web.listen-address=127.0.0.1:${port}`],
      { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] },
    );
    let log = '';
    child.stderr.on('data', (text: Buffer) => (log = (log + text.toString('utf8')).slice(-4_000)));
    const failed = once(child, 'exit').then(() => Promise.reject(new Error(`Prometheus ended: ${log}`)));
    failed.catch(() => undefined);
    const url = `http://127.0.0.1:${port}`;
    const isReady = () =>
      fetch(`${url}/-/ready`).then(
        ({ ok }) => ok,
        () => false,
      );
    await Promise.race([failed, until(isReady, { timeoutMs: 60_000, message: 'Prometheus' })]);
    return new Prometheus(child, url);
  }

  async range(query: string, start: number, end: number, step: number): Promise<Series[]> {
    const { result } = await this.get<{ result: RangeResult[] }>('query_range', { query, start, end, step });
    return result.map(toSeries);
  }

  async instant(query: string): Promise<Series[]> {
    const { result } = await this.get<{ result: RangeResult[] }>('query', { query });
    return result.map(toSeries);
  }

  labelValues(label: string, metric: string): Promise<string[]> {
    return this.get(`label/${label}/values`, { 'match[]': metric });
  }

  async rules(): Promise<Rule[]> {
    const { groups } = await this.get<{ groups: { rules: Rule[] }[] }>('rules', {});
    return groups.flatMap(({ rules }) => rules);
  }

  async stop(): Promise<void> {
    this.child.kill();
    await once(this.child, 'exit');
  }

  private async get<T>(path: string, parameters: Readonly<Record<string, string | number>>): Promise<T> {
    const query = new URLSearchParams(
      Object.entries(parameters).map(([name, value]): [string, string] => [name, String(value)]),
    );
    const response = await fetch(`${this.url}/api/v1/${path}?${query.toString()}`);
    const { status, data, error } = (await response.json()) as Answer<T>;
    if (status !== 'success') throw new Error(`Prometheus refused ${JSON.stringify(parameters)}: ${error}`);
    return data;
  }
}

function toSeries({ metric, values, value }: RangeResult): Series {
  const points = (values ?? [value!]).map(
    ([at, text]) => [at, Number.isNaN(Number(text)) ? null : Number(text)] as const,
  );
  return { labels: metric, points };
}
