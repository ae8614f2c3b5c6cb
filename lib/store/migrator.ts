import type { MigrationInterface, QueryRunner } from 'typeorm';
import { jobsMigrations } from '../../migrations/index.js';
import { InvalidOptionsError, QueueUnavailableError } from '../core/errors.js';
import { SqlError } from './sql-error.js';
import type { SqlRow, SqlScript } from './sql-runner.js';

/** How a dialect keeps account of migrations, in the form TypeORM itself uses. */
export interface MigrationStatements {
  readonly CREATE_MIGRATIONS_TABLE: string;
  readonly LIST_MIGRATIONS: string;
  readonly RECORD_MIGRATION: string;
}

/** How a database sets up its tables. */
export interface TableSetup {
  /** Of its DataSource. */
  readonly databaseType: string;
  readonly statements: MigrationStatements & { readonly CHECK_TABLE: string };
  /** Whether to create and upgrade them, or only to check them. */
  readonly migrate: boolean;
  readonly read: (statement: string) => Promise<readonly SqlRow[]>;
  /** Runs a script in one transaction, by one process at a time. */
  readonly run: (script: () => SqlScript<void>) => Promise<void>;
}

interface RecordedMigration {
  readonly name: string;
  readonly timestamp: number;
  readonly statements: readonly string[];
}

/**
 * Checks the tables, and creates or upgrades them before when it may.
 *
 * @throws InvalidOptionsError naming `migrate` when they are not as this version needs them.
 */
export async function setUpTables({ databaseType, statements, migrate, read, run }: TableSetup): Promise<void> {
  let reason = REFUSED;
  try {
    if (migrate) {
      // The usual start finds them done: then it takes no lock, and a role that may not create anything can start.
      const done = await read(statements.LIST_MIGRATIONS).catch(noneUnlessDenied);
      if (missingIn(done, allMigrations()).length > 0) {
        const recorded = await Promise.all(allMigrations().map((migration) => record(migration, databaseType)));
        await run(() => script(recorded, statements));
      }
    }
    reason = migrate ? CHANGED : MISSING;
    await read(statements.CHECK_TABLE);
  } catch (error) {
    throw tableErrorOf(error, reason);
  }
}

/** Why the tables cannot be used. */
const DENIED =
  'the role may not create or read the tables; run the TypeORM migrations `jobsMigrations` as one that may, and grant this one ' +
  'their use, with SELECT on _jobs_migrations unless `migrate` is false';
const REFUSED =
  'the database refuses to make or upgrade the tables, and nothing was changed; is there a table or a view _jobs, or one beside ' +
  'it, of somebody else?';
const CHANGED =
  'the table _jobs, or one beside it, is not as this version makes it, though _jobs_migrations says that it was made; ' +
  'somebody changed or dropped it: without _jobs_migrations the next start makes what is missing, and leaves what is there';
const MISSING =
  'is false, and the table _jobs, or one beside it, is missing or old; run the TypeORM migrations `jobsMigrations` first, or ' +
  'set it to true';

function allMigrations(): MigrationInterface[] {
  return jobsMigrations.map((migration) => new migration());
}

/** Before the first one there is no table to read; to make one that may not be read would be refused for another reason. */
function noneUnlessDenied(error: unknown): readonly SqlRow[] {
  if (isDenied(refusalIn(error))) {
    throw error;
  }
  return [];
}

/** Which of them do not stand among the rows of LIST_MIGRATIONS. */
function missingIn<M extends { readonly name?: string }>(rows: readonly SqlRow[], migrations: readonly M[]): M[] {
  const done = new Set(rows.map((row) => row.name));
  return migrations.filter(({ name }) => !done.has(name));
}

function* script(recorded: readonly RecordedMigration[], sql: MigrationStatements): SqlScript<void> {
  yield { sql: sql.CREATE_MIGRATIONS_TABLE, params: [] };
  const rows = yield { sql: sql.LIST_MIGRATIONS, params: [] };
  for (const { name, timestamp, statements } of missingIn(rows, recorded)) {
    for (const statement of statements) {
      yield { sql: statement, params: [] };
    }
    yield { sql: sql.RECORD_MIGRATION, params: [timestamp, name] };
  }
}

/** What to say when the tables are not as this version needs them; a database that is away stays what it is. */
function tableErrorOf(error: unknown, reason: string): unknown {
  const failure = refusalIn(error);
  if (!(failure instanceof SqlError)) {
    return error;
  }
  return new InvalidOptionsError('migrate', `${isDenied(failure) ? DENIED : reason} (${failure.message})`, {
    cause: failure,
  });
}

/** What the database has said, also where that is an outage to everybody else. */
function refusalIn(error: unknown): unknown {
  return error instanceof QueueUnavailableError && isMissing(error.cause) ? error.cause : error;
}

/** Whether the role lacks a privilege. */
function isDenied(failure: unknown): boolean {
  return failure instanceof SqlError && failure.driverCode === '42501';
}

/** Whether a schema, a table, a part of one, or a privilege is not there. */
function isMissing(error: unknown): error is SqlError {
  return error instanceof SqlError && error.kind === 'denied' && /^(3F|42|SQLITE)/.test(String(error.driverCode));
}

/**
 * Collects the statements of a migration. On SQLite their transaction must end within one tick: the application may be waiting
 * for it in the same event loop.
 */
async function record(migration: MigrationInterface, databaseType: string): Promise<RecordedMigration> {
  const statements: string[] = [];
  const recorder = {
    connection: { options: { type: databaseType } },
    query: (statement: string) => Promise.resolve(statements.push(statement)),
  };
  await migration.up(recorder as unknown as QueryRunner);
  return { name: migration.name!, timestamp: Number(/\d{13}$/.exec(migration.name!)![0]), statements };
}
