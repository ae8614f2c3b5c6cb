import { Client } from 'pg';
import type { PostgresDatabase } from './databases.js';
import { createPostgresDatabase, postgresVersions } from './databases.js';

/** Ends all other connections and resets the database. */
const EMPTY = `
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid();
DO $$ DECLARE name text; BEGIN
  FOR name IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP
    EXECUTE format('DROP SCHEMA %I CASCADE', name);
  END LOOP;
  EXECUTE format('ALTER DATABASE %I RESET ALL', current_database());
END $$;
CREATE SCHEMA public AUTHORIZATION pg_database_owner;
GRANT USAGE ON SCHEMA public TO PUBLIC`;

/**
 * Databases of the newest PostgreSQL of this test run for tests that each need an empty one, and leave no process behind that
 * could come back to it: to empty one takes a fifth of the time that a new one does.
 */
export class SpareDatabases {
  private readonly spares: PostgresDatabase[] = [];

  /** Returns an empty database. Its `drop` keeps it for the next caller. */
  async take(): Promise<PostgresDatabase> {
    const database = this.spares.pop() ?? (await createPostgresDatabase(postgresVersions()[0]!));
    return { url: database.url, drop: () => this.giveBack(database) };
  }

  async dropAll(): Promise<void> {
    await Promise.all(this.spares.splice(0).map((database) => database.drop()));
  }

  private async giveBack(database: PostgresDatabase): Promise<void> {
    try {
      await empty(database.url);
      this.spares.push(database);
    } catch {
      await database.drop();
    }
  }
}

async function empty(url: string): Promise<void> {
  const client = new Client({ connectionString: url });
  try {
    await client.connect();
    await client.query(EMPTY);
  } finally {
    await client.end();
  }
}
