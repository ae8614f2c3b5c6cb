import type { ClosableDatabase } from './own-database.js';

/** Result codes of SQLite by their number, for the errors of node:sqlite. */
const CODES: Readonly<Record<number, string>> = {
  1: 'SQLITE_ERROR',
  5: 'SQLITE_BUSY',
  6: 'SQLITE_LOCKED',
  8: 'SQLITE_READONLY',
  10: 'SQLITE_IOERR',
  11: 'SQLITE_CORRUPT',
  13: 'SQLITE_FULL',
  14: 'SQLITE_CANTOPEN',
  18: 'SQLITE_TOOBIG',
  19: 'SQLITE_CONSTRAINT',
  20: 'SQLITE_MISMATCH',
  25: 'SQLITE_RANGE',
  26: 'SQLITE_NOTADB',
};

/** Extended codes that the queue tells apart. */
const EXTENDED_CODES: Readonly<Record<number, string>> = {
  517: 'SQLITE_BUSY_SNAPSHOT',
  1034: 'SQLITE_IOERR_FSYNC',
  1555: 'SQLITE_CONSTRAINT_PRIMARYKEY',
  2067: 'SQLITE_CONSTRAINT_UNIQUE',
};

const PRIMARY_CODE = 0xff;

/** The part of `node:sqlite` that the queue uses. The oldest Node that the queue supports has no such module, nor its types. */
interface NodeSqlite {
  readonly DatabaseSync: new (file: string) => DatabaseSync;
  readonly StatementSync: { readonly prototype: object };
}

interface DatabaseSync {
  readonly isOpen: boolean;
  readonly isTransaction: boolean;
  prepare(sql: string): StatementSync;
  exec(sql: string): void;
  close(): void;
}

interface StatementSync {
  columns(): readonly { readonly name: string | null }[];
  setReturnArrays(isOn: boolean): void;
  all(...params: readonly unknown[]): unknown[];
  run(...params: readonly unknown[]): unknown;
}

type Statement = ReturnType<ClosableDatabase['prepare']>;

/** Whether this Node has all members of `node:sqlite` that the queue uses: 22.16 and newer. */
export function isComplete({ StatementSync: { prototype } }: NodeSqlite): boolean {
  return 'columns' in prototype && 'setReturnArrays' in prototype;
}

/** Returns a class with the members of better-sqlite3 that the queue uses, on top of `node:sqlite`. */
export function createDatabaseClass(sqlite: NodeSqlite): new (file: string) => ClosableDatabase {
  return class NodeSqliteDatabase implements ClosableDatabase {
    private readonly database: DatabaseSync;

    constructor(file: string) {
      this.database = translate(() => new sqlite.DatabaseSync(file));
    }

    get open(): boolean {
      return this.database.isOpen;
    }

    get inTransaction(): boolean {
      return this.database.isOpen && this.database.isTransaction;
    }

    prepare(sql: string): Statement {
      return toStatement(translate(() => this.database.prepare(sql)));
    }

    pragma(text: string): void {
      translate(() => this.database.exec(`PRAGMA ${text}`));
    }

    close(): void {
      this.database.close();
    }
  };
}

function toStatement(statement: StatementSync): Statement {
  const columns = statement.columns();
  const adapted: Statement = {
    reader: columns.length > 0,
    columns: () => columns.map(({ name }) => ({ name: String(name) })),
    raw: (isRaw) => {
      statement.setReturnArrays(isRaw);
      return adapted;
    },
    all: (...params) => translate(() => statement.all(...params.map(toParameter))),
    run: (...params) => translate(() => statement.run(...params.map(toParameter))),
  };
  return adapted;
}

/** node:sqlite binds each number as a floating-point one, which differs in text: 1 would become 1.0. It does not bind `undefined` as NULL. */
function toParameter(value: unknown): unknown {
  if (value === undefined) return null;
  return typeof value === 'number' && Number.isInteger(value) ? BigInt(value) : value;
}

/** Runs a call, and gives its error the code that better-sqlite3 would. */
function translate<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    const { code, errcode } = error as { code?: string; errcode?: number };
    if (errcode !== undefined) {
      Object.assign(error as Error, {
        code: EXTENDED_CODES[errcode] ?? CODES[errcode & PRIMARY_CODE] ?? 'SQLITE_UNKNOWN',
      });
    } else if (code === 'ERR_INVALID_STATE') {
      throw new TypeError('The database connection is not open', { cause: error });
    }
    throw error;
  }
}
