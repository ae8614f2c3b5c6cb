import type { JobsOptions } from 'nestjs-jobs';
import { createJobStore, JobsEngine } from 'nestjs-jobs';
import type { DataSourceOptions } from 'typeorm';
import { DataSource } from 'typeorm';
import { EffectSchema } from './effect.js';

/** A DataSource of this process with the table `effects`, and an engine that has not started. */
export interface AppQueue {
  readonly app: DataSource;
  readonly engine: JobsEngine;
  close(): Promise<void>;
}

export async function openAppQueue(database: DataSourceOptions, options: JobsOptions): Promise<AppQueue> {
  const app = await new DataSource({ ...database, entities: [EffectSchema], synchronize: true }).initialize();
  const { store } = createJobStore(app, options);
  await store.open();
  const engine = new JobsEngine({ ...options, store });
  return {
    app,
    engine,
    close: async () => {
      await engine.stop();
      await store.close();
      await app.destroy();
    },
  };
}
