import type { MigrationInterface, QueryRunner } from 'typeorm';
import { jobsMigrations } from '../../migrations/index.js';
import { InvalidOptionsError } from '../core/errors.js';
import type { SqlScript } from './sql-runner.js';
import { SqlError } from './sql-runner.js';

/** How a dialect keeps account of migrations, in the form TypeORM itself uses. */
export interface MigrationStatements {
  readonly CREATE_MIGRATIONS_TABLE: string;
  readonly LIST_MIGRATIONS: string;
  readonly RECORD_MIGRATION: string;
}

interface RecordedMigration {
  readonly name: string;
  readonly timestamp: number;
  readonly statements: readonly string[];
}

/**
 * The queue's migrations as one script, to be run in one transaction that only one process can be in. Their statements
 * are collected first, since on SQLite the transaction must not outlast a tick: the application may be waiting for it in
 * the same event loop.
 */
export async function migrationScript(databaseType: string, sql: MigrationStatements): Promise<() => SqlScript<void>> {
  const recorded = await Promise.all(jobsMigrations.map((migration) => record(new migration(), databaseType)));
  return function* script() {
    yield { sql: sql.CREATE_MIGRATIONS_TABLE, params: [] };
    const rows = yield { sql: sql.LIST_MIGRATIONS, params: [] };
    const done = new Set(rows.map((row) => row.name));
    for (const { name, timestamp, statements } of recorded.filter((migration) => !done.has(migration.name))) {
      for (const statement of statements) {
        yield { sql: statement, params: [] };
      }
      yield { sql: sql.RECORD_MIGRATION, params: [timestamp, name] };
    }
  };
}

/** What to say when the tables are not as this version needs them; a database that is away stays what it is. */
export function tableErrorOf(error: unknown, migrate: boolean): unknown {
  if (!(error instanceof SqlError)) {
    return error;
  }
  const reason = migrate
    ? 'the table _jobs is not as this version makes it; somebody else made or changed it'
    : 'is false, and the table _jobs is missing or old; run `jobsMigrations` first, or set it to true';
  return new InvalidOptionsError('migrate', `${reason} (${error.message})`, { cause: error });
}

async function record(migration: MigrationInterface, databaseType: string): Promise<RecordedMigration> {
  const statements: string[] = [];
  const recorder = {
    connection: { options: { type: databaseType } },
    query: (statement: string) => Promise.resolve(statements.push(statement)),
  };
  await migration.up(recorder as unknown as QueryRunner);
  return { name: migration.name!, timestamp: Number(/\d{13}$/.exec(migration.name!)![0]), statements };
}
