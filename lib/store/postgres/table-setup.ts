import { RowLockedError } from '../../core/errors.js';
import type { StoreTransaction } from '../job-store.js';
import type { PendingMigrations } from '../migrator.js';
import { pendingMigrations, tableErrorOf } from '../migrator.js';
import type { SqlRow } from '../sql-runner.js';
import { runScript } from '../sql-runner.js';
import * as statements from './table-statements.js';

/** The queue's own connections, as far as setting up tables goes. */
export interface SetupDatabase {
  query(text: string, params: readonly unknown[], tx?: StoreTransaction): Promise<readonly SqlRow[]>;
  transaction<T>(work: (tx: StoreTransaction) => Promise<T>): Promise<T>;
}

const MIGRATION_TRIES_MAX = 120;

/**
 * Checks the tables, and creates or upgrades them before when it may. Answers the schema they are in, as an identifier.
 *
 * @throws InvalidOptionsError naming `migrate` when they are not as this version needs them.
 */
export async function setUpTables(database: SetupDatabase, migrate: boolean): Promise<string> {
  try {
    if (migrate) {
      await runMigrations(database, await pendingMigrations('postgres', statements));
    }
    await database.query(statements.CHECK_TABLE, []);
    const [schema] = await database.query(statements.SCHEMA_OF_JOBS, []);
    return String(schema!.name);
  } catch (error) {
    throw tableErrorOf(error, migrate);
  }
}

async function runMigrations(database: SetupDatabase, migrations: PendingMigrations): Promise<void> {
  // A role that may not create anything can start all the same when there is nothing to create.
  const recorded = await database.query(statements.LIST_MIGRATIONS, []).catch(() => []);
  if (migrations.areAllIn(recorded)) {
    return;
  }
  for (let tries = 1; ; tries += 1) {
    try {
      return await database.transaction(async (tx) => {
        await database.query(statements.LOCK_MIGRATIONS, [], tx);
        await runScript({ query: (text, params) => database.query(text, params, tx) }, migrations.script());
      });
    } catch (error) {
      // Another process is at it: each try waits as long as a lock is waited for.
      if (!(error instanceof RowLockedError) || tries === MIGRATION_TRIES_MAX) {
        throw error;
      }
    }
  }
}
