import { existsSync } from 'node:fs';
import { toErrorMessage } from '../core/error-text.js';
import { InvalidOptionsError } from '../core/errors.js';
import type { JobsLogger } from '../core/logger.js';
import type { JobsOptions } from '../core/options.js';
import { JobsEngine } from '../engine/jobs-engine.js';
import type { DatabaseOption } from '../core/options.js';
import { createDatabaseStore } from '../store/create-store.js';
import type { PlainConnection, PlainDatabase } from '../store/plain-database.js';
import { connectPlain, readPlainDatabase } from '../store/plain-database.js';
import { DatabaseInspector } from '../store/reports/inspection.js';
import { CommandError, UsageError } from './exit.js';

/** The database that a command works on. */
interface DatabaseTarget {
  /** For people, without a password. */
  readonly name: string;
  readonly database: DatabaseOption;
  /** Texts that no output may contain. */
  readonly secrets: readonly string[];
  /** Path of the file, on SQLite. */
  readonly file: string | null;
}

const EXPECTED = "expected 'postgres://user@host/database' or 'sqlite:path/to/file'";

/**
 * Reads the URL of a database.
 *
 * @param schema of the queue's tables on PostgreSQL; default: the `search_path` of the login.
 * @throws UsageError without a valid URL.
 */
export function readTarget(
  url: string | undefined,
  schema: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): DatabaseTarget {
  const given = url ?? env.DATABASE_URL;
  const source = url === undefined ? 'DATABASE_URL' : '--url';
  if (!given) {
    throw new UsageError(`no database: pass --url or set DATABASE_URL; ${EXPECTED}`);
  }
  if (/^postgres(ql)?:\/\//i.test(given)) {
    return toPostgresTarget(given, source, schema, env.PGPASSWORD);
  }
  const [, file] = /^sqlite:(?:\/\/)?(.+)$/i.exec(given) ?? [];
  if (file === undefined) {
    const path = /^[\w./\\ -]+$/.test(given) ? `; did you mean 'sqlite:${given}'?` : '';
    throw new UsageError(`${source}: ${EXPECTED}${path}`);
  }
  if (schema !== undefined) {
    throw new UsageError('--schema: SQLite has no schemas');
  }
  if (file === ':memory:') {
    throw new UsageError(`${source}: a database in memory belongs to its process; pass a file`);
  }
  return { name: `SQLite, ${file}`, file, secrets: [], database: `sqlite:${file}` };
}

function toPostgresTarget(
  given: string,
  source: string,
  schema: string | undefined,
  environmentPassword = '',
): DatabaseTarget {
  const url = parseUrl(given);
  if (!url) {
    throw new UsageError(`${source}: not a valid URL; encode special characters of the password, such as %40 for @`);
  }
  const passwords = [url.password, url.searchParams.get('password') ?? '', environmentPassword];
  return {
    name: `PostgreSQL, ${url.host || url.searchParams.get('host') || 'localhost'}${url.pathname}`,
    file: null,
    secrets: [given, ...passwords.flatMap((password) => [password, decode(password)])].filter((text) => text !== ''),
    database: {
      connectionString: given,
      application_name: 'nestjs-jobs command',
      ...(schema === undefined ? {} : { options: toSearchPath(schema) }),
    },
  };
}

function parseUrl(text: string): URL | undefined {
  try {
    return new URL(text);
  } catch {
    return undefined;
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Startup option of the server. It reads a backslash before a blank or a backslash as that character. */
function toSearchPath(schema: string): string {
  const quoted = `"${schema.replaceAll('"', '""')}"`;
  return `-c search_path=${quoted.replace(/[\\\s]/g, (character) => `\\${character}`)}`;
}

/** Replaces the secrets of a target. */
export function hideSecrets(text: string, secrets: readonly string[]): string {
  return secrets.reduce((shown, secret) => shown.replaceAll(secret, '***'), text);
}

/** An open connection of a command. */
export class OpenQueue {
  private engineAndStore: { readonly engine: JobsEngine; close: () => Promise<void> } | undefined;

  private constructor(
    readonly target: DatabaseTarget,
    private readonly kind: PlainDatabase['kind'],
    private readonly connection: PlainConnection,
    private readonly logger: JobsLogger,
  ) {}

  /** Connects to the database, and not yet to the queue. @throws CommandError if the database or its driver is missing. */
  static async connect(target: DatabaseTarget, logger: JobsLogger, mayCreate: boolean): Promise<OpenQueue> {
    if (target.file !== null && !mayCreate && !existsSync(target.file)) {
      throw new CommandError(`there is no file '${target.file}'; 'nestjs-jobs migrate' creates it`);
    }
    const plain = readDriver(target.database);
    return new OpenQueue(target, plain.kind, await connectPlain(plain), logger);
  }

  get inspector(): DatabaseInspector {
    return new DatabaseInspector(this.kind, this.connection.query);
  }

  /** Opens the queue, which must have its tables. @throws CommandError when they are missing or old. */
  async engine(options: Pick<JobsOptions, 'retention'> = {}): Promise<JobsEngine> {
    return this.openEngine({ ...options, migrate: false }).catch((error: unknown) => {
      throw error instanceof InvalidOptionsError && error.option === 'migrate'
        ? new CommandError(
            `the tables of the queue are missing or old; run 'nestjs-jobs migrate' (${toErrorMessage(error.cause)})`,
          )
        : error;
    });
  }

  /** Creates or upgrades the tables. */
  async migrate(): Promise<void> {
    await this.openEngine({ migrate: true });
  }

  async close(): Promise<void> {
    await this.engineAndStore?.close();
    await this.connection.close();
  }

  private async openEngine(options: JobsOptions): Promise<JobsEngine> {
    const { logger } = this;
    const { database } = this.target;
    const settings = { ...options, database, role: 'producer', operationLog: false } as const;
    const store = createDatabaseStore(settings, { logger });
    await store.open();
    const engine = new JobsEngine({ ...settings, store, logger });
    const close = async (): Promise<void> => {
      await engine.close();
      await store.close();
    };
    this.engineAndStore = { engine, close };
    return engine;
  }
}

function readDriver(database: DatabaseOption): PlainDatabase {
  try {
    return readPlainDatabase(database);
  } catch (error) {
    throw error instanceof InvalidOptionsError ? new CommandError(error.reason) : error;
  }
}
