import type { JobEvent, JobsOptions } from 'nestjs-jobs';
import { createJobStore, JobsEngine } from 'nestjs-jobs';
import { DataSource } from 'typeorm';

/** A queue in a database, whose application uses another ORM. */
export interface OrmQueue {
  readonly engine: JobsEngine;
  readonly events: JobEvent[];
  sql(text: string): Promise<Record<string, unknown>[]>;
  close(): Promise<void>;
}

const OPTIONS = { lease: '2s', pollInterval: '200ms', backoff: { type: 'fixed', delay: 10 } } as const;

export async function openQueue(
  database: 'postgres' | 'sqlite',
  url: string,
  options: JobsOptions = {},
): Promise<OrmQueue> {
  const app = await new DataSource(
    database === 'postgres' ? { type: 'postgres', url } : { type: 'better-sqlite3', database: url },
  ).initialize();
  await app.query('CREATE TABLE IF NOT EXISTS effects (id text PRIMARY KEY)');
  const { store } = createJobStore(app, { ...OPTIONS, ...options });
  await store.open();
  const engine = new JobsEngine({ ...OPTIONS, ...options, store });
  const events: JobEvent[] = [];
  engine.events.subscribe((event) => events.push(event));
  return {
    engine,
    events,
    sql: (text) => app.query(text),
    close: async () => {
      await engine.close();
      await store.close();
      await app.destroy();
    },
  };
}
