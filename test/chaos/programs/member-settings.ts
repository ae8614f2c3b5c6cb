import type { DataSourceOptions } from 'typeorm';
import { DataSource } from 'typeorm';
import type { JobsOptions, JobStore } from 'nestjs-jobs';
import { createJobStore, JobsEngine } from 'nestjs-jobs';
import { HistoryWriter } from '../history.js';
import { breakBuild } from '../mutants/mutants.js';
import type { MemberSettings } from '../protocol.js';

/** What this process was started with. */
export const settings = JSON.parse(process.argv[2]!) as MemberSettings;
export const history = new HistoryWriter(settings.historyFolder, settings.name);

const RETRY_MS = 200;

if (settings.clockOffsetMs !== 0) moveClock(settings.clockOffsetMs);

/** Moves the wall clock of this process, not its monotonic clock. */
function moveClock(offsetMs: number): void {
  const now = (): number => Real.now() + offsetMs;
  const Real = Date;
  globalThis.Date = new Proxy(Real, {
    construct: (target, given: []) => (given.length > 0 ? new target(...given) : new target(now())),
    get: (target, name) => (name === 'now' ? now : (Reflect.get(target, name) as unknown)),
  });
}

/** An application with its DataSource and an engine that has not started. */
export interface Application {
  readonly app: DataSource;
  readonly engine: JobsEngine;
  readonly store: JobStore;
  close(): Promise<void>;
}

/** Opens the application, as often as it takes: the database may be away. */
export async function openApplication(options: JobsOptions): Promise<Application> {
  breakBuild(settings);
  for (;;) {
    try {
      return await open(options);
    } catch (error) {
      console.error(`not open yet: ${String(error)}`);
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

async function open(options: JobsOptions): Promise<Application> {
  const app = await new DataSource(databaseOptions()).initialize();
  const { store } = createJobStore(app, options, { logger: console });
  try {
    await store.open();
  } catch (error) {
    await app.destroy();
    throw error;
  }
  const engine = new JobsEngine({ ...options, store, logger: console });
  return {
    app,
    engine,
    store,
    close: async () => {
      await engine.close();
      await store.close();
      await app.destroy();
    },
  };
}

function databaseOptions(): DataSourceOptions {
  const { database } = settings;
  // As an application should: no statement of it waits for ever on a network that went silent, or for a lock.
  return database.type === 'postgres'
    ? { ...database, poolSize: 5, extra: { connectionTimeoutMillis: 5_000, query_timeout: 5_000 } }
    : { ...database, timeout: 300 };
}

/** Tells the campaign that this process works. */
export function reportReady(): void {
  process.send!('ready');
  process.channel?.unref();
}

/** Ends the process when it is asked to, or when the campaign is gone. */
export function onTermination(end: () => Promise<void>): void {
  process.once('SIGTERM', () => {
    void end().then(() => {
      history.write({ kind: 'closed' });
      // A handler that never settles may hold a timer or a socket.
      process.exit(0);
    });
  });
  process.on('disconnect', () => process.exit(1));
}
