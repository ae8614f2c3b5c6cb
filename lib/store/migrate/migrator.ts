import type { Migration, MigrationRunner } from '../../../migrations/index.js';
import { jobsMigrations } from '../../../migrations/index.js';
import { InvalidOptionsError, QueueUnavailableError } from '../../core/errors.js';
import { SqlError } from '../runtime/sql-error.js';
import type { SqlRow, SqlScript } from '../runtime/sql-runner.js';

/** The statements that record migrations, in the table that TypeORM would create. */
interface MigrationStatements {
  readonly CREATE_MIGRATIONS_TABLE: string;
  readonly LIST_MIGRATIONS: string;
  readonly RECORD_MIGRATION: string;
}

interface TableSetup {
  readonly databaseType: 'postgres' | 'sqlite';
  readonly statements: MigrationStatements & { readonly CHECK_TABLE: string };
  /** Whether to create and upgrade the tables, or only to check them. */
  readonly migrate: boolean;
  readonly read: (statement: string) => Promise<readonly SqlRow[]>;
  /** Runs a script in one transaction, in one process at a time. */
  readonly run: (script: () => SqlScript<void>) => Promise<void>;
}

interface IdSetup extends Pick<TableSetup, 'migrate' | 'read'> {
  readonly statements: { readonly QUEUE_ID: string; readonly CREATE_QUEUE_ID: string };
  readonly write: TableSetup['read'];
}

interface RecordedMigration {
  readonly name: string;
  readonly timestamp: number;
  readonly statements: readonly string[];
}

/** What a start with `migrate: true` would do to the tables. */
export interface MigrationPlan {
  /**
   * `current`: nothing to do. `behind`: migrations are missing. `damaged`: the migrations have run, but a table or a column is
   * missing.
   */
  readonly state: 'current' | 'behind' | 'damaged';
  /** Names of the migrations that have not run. */
  readonly missing: readonly string[];
  /** The statements that would run, in one transaction. */
  readonly statements: readonly string[];
}

/**
 * Compares the tables with what this version needs. Changes nothing. Tables that the application's own migrations have created are
 * current if no column is missing.
 */
export async function planMigration({
  databaseType,
  statements: sql,
  read,
}: Pick<TableSetup, 'databaseType' | 'statements' | 'read'>): Promise<MigrationPlan> {
  // The role of an application that never migrates needs no right to read the list.
  const done = await readIfPresent(read, sql.LIST_MIGRATIONS).catch((error: unknown) => {
    if (isDenied(error)) {
      return null;
    }
    throw error;
  });
  const checked = await readIfPresent(read, sql.CHECK_TABLE);
  const recorded = await Promise.all(createMigrations().map((migration) => record(migration, databaseType)));
  const missing = findMissing(done ?? [], recorded);
  if (checked && (done === null || missing.length === 0)) {
    return { state: 'current', missing: [], statements: [] };
  }
  const statements = missing.flatMap(({ name, timestamp, statements: own }) => [
    ...own,
    fillIn(sql.RECORD_MIGRATION, [String(timestamp), `'${name}'`]),
  ]);
  return {
    state: missing.length > 0 ? 'behind' : 'damaged',
    missing: missing.map(({ name }) => name),
    statements: missing.length > 0 ? [sql.CREATE_MIGRATIONS_TABLE, ...statements] : [],
  };
}

/** Returns the rows, or `null` if a table or a column is missing. */
async function readIfPresent(read: TableSetup['read'], statement: string): Promise<readonly SqlRow[] | null> {
  try {
    return await read(statement);
  } catch (error) {
    if (isMissing(error) && !isDenied(error)) {
      return null;
    }
    throw error;
  }
}

/** Replaces the parameters of a statement, `$1` or `?1`, by SQL literals. */
function fillIn(statement: string, literals: readonly string[]): string {
  return statement.replace(/[$?](\d)/g, (_, number) => literals[Number(number) - 1]!);
}

/**
 * Creates or upgrades the tables if `migrate` is true, and checks them.
 *
 * @throws InvalidOptionsError for `migrate` when the tables are not as this version needs them.
 */
export async function setUpTables({ databaseType, statements, migrate, read, run }: TableSetup): Promise<void> {
  let reason = REFUSED;
  try {
    if (migrate) {
      // Usually all have run: then the start takes no lock, and a role without the right to create tables can start.
      const done = await read(statements.LIST_MIGRATIONS).catch(toNoRows);
      if (findMissing(done, createMigrations()).length > 0) {
        const recorded = await Promise.all(createMigrations().map((migration) => record(migration, databaseType)));
        await run(() => migrationScript(recorded, statements));
      }
    }
    reason = migrate ? CHANGED : MISSING;
    await read(statements.CHECK_TABLE);
  } catch (error) {
    throw toTableError(error, reason);
  }
}

/**
 * Reads the random id that tells the queue's database from others.
 *
 * @throws InvalidOptionsError for `migrate` when it is missing and may not be created.
 */
export async function readQueueId({ statements, migrate, read, write }: IdSetup): Promise<string> {
  const [known] = await read(statements.QUEUE_ID);
  if (!known && migrate) {
    await write(statements.CREATE_QUEUE_ID);
  }
  const [row] = known ? [known] : await read(statements.QUEUE_ID);
  if (!row) {
    throw new InvalidOptionsError(
      'migrate',
      "is false, and the row of the table _jobs_meta with the name 'id' is missing; start once with true, which creates it",
    );
  }
  return row.value as string;
}

const DENIED =
  'the role may not create or read the tables; run the TypeORM migrations `jobsMigrations` as another role, and grant this one ' +
  'access to the tables, with SELECT on _jobs_migrations unless `migrate` is false';
const REFUSED =
  'the database refused to create or upgrade the tables, and nothing was changed; does the application have a table or a view ' +
  'named _jobs, _jobs_rollup, _jobs_workers, _jobs_topics, _jobs_starts, _jobs_schedules, _jobs_definitions, _jobs_links, ' +
  '_jobs_groups, _jobs_logs, _jobs_counts or _jobs_meta?';
const CHANGED =
  'a table of the queue was changed or dropped, although _jobs_migrations records it; drop _jobs_migrations: ' +
  'the next start creates missing tables and keeps the others';
const MISSING =
  'is false, and the table _jobs or another table of the queue is missing or old; run `npx nestjs-jobs migrate`, or ' +
  'the TypeORM migrations `jobsMigrations`, first; or set it to true';

/** Name of the newest migration of this version. */
export const SCHEMA_VERSION = jobsMigrations.at(-1)!.name;

function createMigrations(): Migration[] {
  return jobsMigrations.map((migration) => new migration());
}

/** Before the first migration there is no table to read. A denied privilege is an error: creating would hide it. */
function toNoRows(error: unknown): readonly SqlRow[] {
  if (isDenied(toRefusal(error))) {
    throw error;
  }
  return [];
}

/** Returns the migrations that have not run. */
function findMissing<M extends { readonly name?: string }>(rows: readonly SqlRow[], migrations: readonly M[]): M[] {
  const done = new Set(rows.map((row) => row.name));
  return migrations.filter(({ name }) => !done.has(name));
}

function* migrationScript(recorded: readonly RecordedMigration[], sql: MigrationStatements): SqlScript<void> {
  yield { sql: sql.CREATE_MIGRATIONS_TABLE, params: [] };
  const rows = yield { sql: sql.LIST_MIGRATIONS, params: [] };
  for (const { name, timestamp, statements } of findMissing(rows, recorded)) {
    for (const statement of statements) {
      yield { sql: statement, params: [] };
    }
    yield { sql: sql.RECORD_MIGRATION, params: [timestamp, name] };
  }
}

/** Explains why the tables cannot be used. Returns the error itself when the database is unavailable. */
function toTableError(error: unknown, reason: string): unknown {
  const failure = toRefusal(error);
  if (!(failure instanceof SqlError)) {
    return error;
  }
  return new InvalidOptionsError('migrate', `${isDenied(failure) ? DENIED : reason} (${failure.message})`, {
    cause: failure,
  });
}

/** Returns the database's own error if something is missing; elsewhere that counts as an outage. */
function toRefusal(error: unknown): unknown {
  return error instanceof QueueUnavailableError && isMissing(error.cause) ? error.cause : error;
}

/** Whether the role lacks a privilege. */
function isDenied(failure: unknown): boolean {
  return failure instanceof SqlError && failure.driverCode === '42501';
}

/** Whether a schema, a table, a column or a privilege is missing. */
function isMissing(error: unknown): error is SqlError {
  return error instanceof SqlError && error.kind === 'denied' && /^(3F|42|SQLITE)/.test(String(error.driverCode));
}

/**
 * Collects the statements of a migration. On SQLite their transaction must end within one tick: the application may be waiting
 * for it in the same event loop.
 */
async function record(migration: Migration, databaseType: TableSetup['databaseType']): Promise<RecordedMigration> {
  const statements: string[] = [];
  const recorder: MigrationRunner = {
    connection: { options: { type: databaseType } },
    query: (statement: string) => Promise.resolve(statements.push(statement)),
  };
  await migration.up(recorder);
  return { name: migration.name, timestamp: Number(/\d{13}$/.exec(migration.name)![0]), statements };
}
