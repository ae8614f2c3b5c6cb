import type { DataSource } from 'typeorm';
import { JobsEngine } from '../../lib/engine/jobs-engine.js';
import { createJobStore } from '../../lib/typeorm/create-job-store.js';
import type { Times } from './rounds.js';

/** The first reads of the overview and of the other screens, by name. */
const CALLS: Readonly<Record<string, (engine: JobsEngine) => Promise<unknown>>> = {
  stats: ({ stats }) => stats.get(),
  topics: ({ topics }) => topics.list(),
  timeseries: ({ stats }) => stats.report(60),
  errors: ({ errors }) => errors.list(null, { limit: 20 }),
  'first page': ({ jobs }) => jobs.list({}),
  workers: (engine) => engine.workers(),
};

/**
 * Measures the first call of each report. Each call uses a new engine, on its own connections that have sent one statement.
 */
export async function timesOfFirstCalls(app: DataSource, rounds: number): Promise<Times[]> {
  const times: Times[] = [];
  for (const [title, call] of Object.entries(CALLS)) {
    const took: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const { store } = createJobStore(app, { lease: '30s' });
      await store.open();
      await store.reports.now();
      const engine = new JobsEngine({ store, role: 'producer' });
      const sinceMs = performance.now();
      await call(engine);
      took.push(performance.now() - sinceMs);
      await engine.close();
      await store.close();
    }
    took.sort((a, b) => a - b);
    times.push({
      title: `first call: ${title}`,
      answer: `${rounds} engines`,
      p50Ms: took[Math.ceil(rounds / 2) - 1]!,
      p95Ms: took.at(-1)!,
      stopMs: 0,
    });
  }
  return times;
}
