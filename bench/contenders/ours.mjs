import { createRequire } from 'node:module';
import { openDataSource } from './ours-data-source.mjs';
import { tableOf } from './ours-table.mjs';

/** @typedef {import('./index.mjs').Queue} Queue */

/**
 * The engine as it is packed, without Nest.
 *
 * @type {(address: string, options: any) => Promise<Queue>}
 */
export async function open(address, { driver, limits, ...options }) {
  const app = await openDataSource(address, driver);
  const { JobsEngine, createJobStore } = await ours(driver);
  const { store, dataSource } = createJobStore(app, options);
  await store.open();
  const engine = new JobsEngine({ store, ...options });
  return {
    enqueue: (payload, where) => engine.enqueue('work', payload, where && { delay: where.delayMs }),
    enqueueMany: (payloads, { topic = 'work', delayMs, keys } = {}) =>
      engine.enqueueMany(
        payloads.map((payload) => ({
          topic,
          payload,
          delay: delayMs,
          ...(keys ? { concurrencyKey: `tenant ${payload.n % keys}` } : {}),
        })),
      ),
    enqueueFlow: (payloads, flow) => {
      if (flow === 'fan-in') {
        const jobs = payloads.map((payload) => ({ topic: 'work', payload }));
        return engine.groups.enqueue(jobs.slice(0, -1), { onFinish: jobs.at(-1) });
      }
      return engine.enqueueMany(
        payloads.map((payload) => ({
          ref: `${payload.n}`,
          topic: 'work',
          payload,
          ...(payload.n > 0 ? { dependsOn: [`${payload.n - 1}`] } : {}),
        })),
      );
    },
    work: async (topics, run) => {
      topics.forEach((topic) => engine.register(topic, (/** @type {any} */ { payload }) => run(payload), { limits }));
      await engine.start();
    },
    ...tableOf(app, dataSource, options.retention === 0),
    engine,
    close: async () => {
      await engine.close();
      await store.close();
      await app.destroy();
    },
  };
}

/** The same jobs as ours, for the driver alone. @type {(address: string, payloads: any[], flow: any) => Promise<void>} */
export async function enqueueOurs(address, payloads, flow) {
  const queue = await open(address, {});
  await queue.enqueueFlow?.(payloads, flow);
  await queue.close();
}

/** @type {(address: string, options: any) => Promise<void>} */
export async function prepare(address, { driver }) {
  const app = await openDataSource(address, driver);
  const { createJobStore } = await ours(driver);
  const { store } = createJobStore(app);
  await store.open();
  await store.close();
  await app.destroy();
}

/** The package: for sqlite3 the one beside TypeORM 0.3. @param {string | undefined} driver */
function ours(driver) {
  return driver === 'sqlite3'
    ? createRequire(new URL('../typeorm-0.3/package.json', import.meta.url))('nestjs-jobs')
    : import('nestjs-jobs');
}
