import { Client } from 'pg';
import { DataSource } from 'typeorm';
import { createJobStore } from '../../../lib/typeorm/create-job-store.js';
import { setForSession } from '../../../lib/store/postgres/session.postgres.js';
import type { PostgresVersion } from '../../support/databases.js';
import { createPostgresDatabase } from '../../support/databases.js';

/** A database with the queue's tables and a connection to it. Autovacuum is off, so only the test runs ANALYZE. */
export interface PlanTable {
  readonly client: Client;
  readonly drop: () => Promise<void>;
}

/** Opens a connection with the defaults of the server. */
export async function openPlanTable(version: PostgresVersion): Promise<PlanTable> {
  const database = await createPostgresDatabase(version);
  const app = await new DataSource({ type: 'postgres', url: database.url }).initialize();
  const { store } = createJobStore(app);
  await store.open();
  await store.close();
  await app.destroy();
  const client = new Client({ connectionString: database.url });
  await client.connect();
  await client.query('ALTER TABLE _jobs SET (autovacuum_enabled = false)');
  const drop = async (): Promise<void> => {
    await client.end();
    await database.drop();
  };
  return { client, drop };
}

/** Opens a connection with the settings of the queue. */
export async function openQueueTable(version: PostgresVersion): Promise<PlanTable> {
  const table = await openPlanTable(version);
  await table.client.query(setForSession({ statementTimeoutMs: 30_000, lockTimeoutMs: 1_000 }));
  return table;
}
