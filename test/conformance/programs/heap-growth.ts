import { constants, PerformanceObserver } from 'node:perf_hooks';
import { getHeapSpaceStatistics } from 'node:v8';
import type { DataSourceOptions } from 'typeorm';
import { DataSource } from 'typeorm';
import { JobsEngine } from '../../../lib/engine/jobs-engine.js';
import { createJobStore } from '../../../lib/typeorm/create-job-store.js';
import { until } from '../../support/wait.js';

/** Jobs before the measurement: the compilers of V8 also allocate code and feedback in the old generation. */
const WARM_UP_JOBS = 20_000;
const JOBS = 40_000;
const AT_ONCE = 1_000;

/** Bytes for each job by which the old generation grew: during enqueueing and during execution. */
export interface HeapGrowth {
  readonly enqueued: number;
  readonly run: number;
  /** Full collections, which hide the growth. */
  readonly fullCollections: number;
}

/** Drains jobs on the database of the first argument and reports the growth of the old generation. */
async function main(): Promise<void> {
  const app = await new DataSource(JSON.parse(process.argv[2]!) as DataSourceOptions).initialize();
  const { store } = createJobStore(app, { sqlite: { synchronous: 'normal' } });
  await store.open();
  const engine = new JobsEngine({ store, concurrency: 100 });
  let ran = 0;
  engine.register('work', () => void (ran += 1));

  const enqueue = async (count: number): Promise<void> => {
    for (let sent = 0; sent < count; sent += AT_ONCE) {
      await engine.enqueueMany(Array.from({ length: AT_ONCE }, (_, n) => ({ topic: 'work', payload: { n } })));
    }
  };
  const drain = async (count: number): Promise<void> => {
    ran = 0;
    await engine.start();
    await engine.whenIdle();
    await until(() => ran === count, { message: `${count} jobs` });
    await engine.stop();
  };

  await enqueue(WARM_UP_JOBS);
  await drain(WARM_UP_JOBS);
  let fullCollections = 0;
  const count = (entries: readonly object[]): void => {
    fullCollections += entries.filter(isFullCollection).length;
  };
  const observer = new PerformanceObserver((list) => count(list.getEntries()));
  observer.observe({ type: 'gc' });
  const before = readOldGenerationBytes();
  await enqueue(JOBS);
  const between = readOldGenerationBytes();
  await drain(JOBS);
  const after = readOldGenerationBytes();
  count(observer.takeRecords());
  const growth: HeapGrowth = { enqueued: (between - before) / JOBS, run: (after - between) / JOBS, fullCollections };
  process.send!(growth);

  await engine.close();
  await store.close();
  await app.destroy();
  process.disconnect();
}

function isFullCollection(entry: object): boolean {
  return (entry as { detail: { kind: number } }).detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR;
}

function readOldGenerationBytes(): number {
  return getHeapSpaceStatistics().find(({ space_name }) => space_name === 'old_space')!.space_used_size;
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
