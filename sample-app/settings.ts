import { randomBytes } from 'node:crypto';

/** Folder of the SQLite file and the mails, relative to the working directory. */
export const DATA_FOLDER = 'data';

export interface Settings {
  readonly port: number;
  /** `undefined` means a SQLite file in the data folder. */
  readonly databaseUrl: string | undefined;
  readonly adminToken: string;
  /** Whether the token comes from the environment. */
  readonly isTokenGiven: boolean;
}

/** Settings from the environment: PORT, DATABASE_URL and JOBS_ADMIN_TOKEN. */
export const settings: Settings = readSettings(process.env);

function readSettings({ PORT, DATABASE_URL, JOBS_ADMIN_TOKEN }: NodeJS.ProcessEnv): Settings {
  const port = Number(PORT || 3000);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    exitWith(`PORT: expected a number from 1 to 65535, got '${PORT}'`);
  }
  if (DATABASE_URL && !/^(postgres(ql)?:\/\/|(better-sqlite3|sqlite3?|file):|(?![\w+-]{2,}:))/.test(DATABASE_URL)) {
    exitWith('DATABASE_URL: expected postgres://…, a SQLite file, sqlite3:file or nothing, which means a SQLite file');
  }
  return {
    port,
    databaseUrl: DATABASE_URL || undefined,
    adminToken: JOBS_ADMIN_TOKEN || randomBytes(16).toString('hex'),
    isTokenGiven: Boolean(JOBS_ADMIN_TOKEN),
  };
}

function exitWith(message: string): never {
  console.error(message);
  process.exit(1);
}
