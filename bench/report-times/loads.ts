import { setTimeout as sleep } from 'node:timers/promises';
import type { DataSource } from 'typeorm';
import { Pruner } from '../../lib/engine/maintain/pruner.js';
import { JobsEngine } from '../../lib/engine/jobs-engine.js';
import { createJobStore } from '../../lib/typeorm/create-job-store.js';
import type { JobsEngineOptions } from '../../lib/engine/jobs-engine.js';
import { systemClock } from '../../lib/store/runtime/system-clock.js';
import type { JobStore } from '../../lib/store/job-store.js';
import { logParts } from '../../test/support/unit/log-parts.js';

/** How fast an action changes many jobs. */
export interface Rate {
  readonly title: string;
  readonly rows: number;
  readonly perSecond: number;
}

const DRAINED_JOBS = 100_000;
const DRAINS = 3;
const DRAIN_TOPIC = 'drained';
const BULK_CALLS = 5;
const PRUNE_MS = 20_000;

/** Drains the backlog of a separate topic in this process, three times. Returns the median. */
export async function measureDrain(app: DataSource, title: string): Promise<Rate> {
  const rates: number[] = [];
  for (let round = 0; round < DRAINS; round += 1) {
    await settle(app);
    rates.push(await withEngine(app, { retention: false }, drain));
  }
  const [, perSecond] = rates.sort((one, other) => one - other);
  return { title, rows: DRAINED_JOBS, perSecond: perSecond! };
}

/** On PostgreSQL: does now what autovacuum and the checkpointer would do during the next measurement. */
async function settle(app: DataSource): Promise<void> {
  if (app.options.type === 'postgres') {
    await app.query('VACUUM ANALYZE _jobs');
    await app.query('CHECKPOINT');
  }
}

/** Measures bulk actions, and pruning alone and while a backlog is drained. */
export async function measureChanges(app: DataSource): Promise<Rate[]> {
  const rates = await withEngine(app, { role: 'producer' }, async (engine) => [
    await bulk(engine, 'requeue', 'failed'),
    await bulk(engine, 'delete', 'cancelled'),
  ]);
  await withPruner(app, async (removed) => {
    const sinceMs = performance.now();
    await sleep(PRUNE_MS);
    rates.push({ title: 'prune', rows: removed(), perSecond: (removed() * 1_000) / (performance.now() - sinceMs) });
    const before = removed();
    const drainedMs = performance.now();
    const perSecond = await withEngine(app, { retention: false }, drain);
    const rows = removed() - before;
    rates.push({ title: 'drain while it prunes', rows: DRAINED_JOBS, perSecond });
    rates.push({ title: 'prune while it drains', rows, perSecond: (rows * 1_000) / (performance.now() - drainedMs) });
  });
  return rates;
}

async function bulk(engine: JobsEngine, action: 'requeue' | 'delete', status: 'failed' | 'cancelled'): Promise<Rate> {
  const sinceMs = performance.now();
  let rows = 0;
  let cursor: string | undefined;
  for (let call = 0; call < BULK_CALLS; call += 1) {
    const { changed, nextCursor } = await engine.bulk.run({ action, filter: { status }, cursor });
    rows += changed;
    cursor = nextCursor ?? undefined;
  }
  return { title: `bulk ${action}`, rows, perSecond: (rows * 1_000) / (performance.now() - sinceMs) };
}

/** @returns jobs a second, from the first handler to the last. */
async function drain(engine: JobsEngine): Promise<number> {
  for (let stored = 0; stored < DRAINED_JOBS; stored += 1_000) {
    await engine.enqueueMany(Array.from({ length: 1_000 }, (_, n) => ({ topic: DRAIN_TOPIC, payload: { n } })));
  }
  let handled = 0;
  let firstMs = 0;
  const done = new Promise<number>((resolve) => {
    engine.register(DRAIN_TOPIC, async () => {
      handled += 1;
      firstMs ||= performance.now();
      if (handled === DRAINED_JOBS) {
        resolve(performance.now());
      }
    });
  });
  await engine.start();
  return (DRAINED_JOBS * 1_000) / ((await done) - firstMs);
}

async function withEngine<T>(
  app: DataSource,
  options: Omit<JobsEngineOptions, 'store'>,
  use: (engine: JobsEngine) => Promise<T>,
): Promise<T> {
  const { store } = createJobStore(app, { lease: '30s' });
  await store.open();
  const engine = new JobsEngine({ store, ...options });
  try {
    return await use(engine);
  } finally {
    await engine.close();
    await store.close();
  }
}

/** Runs `use` while a pruner deletes jobs that finished a minute ago or earlier. */
async function withPruner(app: DataSource, use: (removed: () => number) => Promise<void>): Promise<void> {
  const { store } = createJobStore(app, { lease: '30s' });
  await store.open();
  let removed = 0;
  const counted: JobStore = Object.create(store, {
    prune: {
      value: async (...request: Parameters<JobStore['prune']>) => {
        const page = await store.prune(...request);
        removed += page.removed;
        return page;
      },
    },
  }) as JobStore;
  const pruner = new Pruner({
    ...logParts(systemClock),
    store: counted,
    random: Math.random,
    registry: { retentions: [] } as never,
    retention: { completed: 60_000, cancelled: 60_000, failed: 60_000 },
    declarer: { isPending: false, write: () => Promise.resolve() },
  });
  pruner.start();
  try {
    await use(() => removed);
  } finally {
    await pruner.stop();
    await store.close();
  }
}
