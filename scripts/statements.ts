import { readdirSync } from 'node:fs';
import { join } from 'node:path';

/** One statement of the queue. */
export interface Statement {
  readonly database: 'postgres' | 'sqlite';
  /** `lib/store/jobs/claim.postgres.ts CLAIM`. */
  readonly name: string;
  /** Its final text. */
  readonly text: string;
}

const STORE = join(__dirname, '../lib/store');

/**
 * Lists every statement of both databases by file. A statement is an exported constant in capitals, or a member of one; the other exports
 * of these files are fragments.
 */
export function listStatements(): Statement[] {
  const files = readdirSync(STORE, { recursive: true, encoding: 'utf8' });
  return files.sort().flatMap((file) => {
    const database = /\.(postgres|sqlite)\.ts$/.exec(file)?.[1] as Statement['database'] | undefined;
    return database ? readStatements(file).map(({ name, text }) => ({ database, name, text })) : [];
  });
}

function readStatements(file: string): Omit<Statement, 'database'>[] {
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- known at run time only
  return Object.entries(require(join(STORE, file)) as Record<string, unknown>)
    .filter(([name]) => /^[A-Z0-9_]+$/.test(name))
    .flatMap(([name, value]) => findTexts(name, value))
    .filter(([, text]) => STATEMENT.test(text))
    .map(([name, text]) => ({ name: `lib/store/${file} ${name}`, text: text.trim() }));
}

/** Returns the texts in a constant, which may be an object of statements, each with its path. */
function findTexts(path: string, value: unknown): [string, string][] {
  if (typeof value === 'string') {
    return [[path, value]];
  }
  return typeof value === 'object' && value !== null
    ? Object.entries(value).flatMap(([member, each]) => findTexts(`${path}.${member}`, each))
    : [];
}

/** The other constants in capitals are names of channels and lists of columns. */
const STATEMENT = /^\s*(SELECT|INSERT|UPDATE|DELETE|WITH|CREATE|PRAGMA|SET|RESET|BEGIN|COMMIT|ROLLBACK|LISTEN)\b/;
