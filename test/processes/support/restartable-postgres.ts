import { execFile } from 'node:child_process';
import { chmodSync, chownSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import type { PostgresServer } from '../../support/postgres-server.js';
import { startPostgresServer } from '../../support/postgres-server.js';
import { until } from '../../support/wait.js';

/** A PostgreSQL server of one test that can crash and restart with the same data. */
export interface RestartablePostgres extends PostgresServer {
  /** Its data folder, and the user that owns it. */
  readonly data: string;
  readonly user: { readonly uid?: number; readonly gid?: number };
  /** Stops the server as a crash would: it cuts connections and writes nothing. */
  crash(): Promise<void>;
  /** Kills the main process by SIGKILL. Resolves when its other processes have noticed and ended. @param onKill called at once. */
  kill(onKill?: () => void): Promise<void>;
  /** Starts the server again with the same arguments. */
  start(): Promise<void>;
  /** Starts the server as a standby, which rejects writes until `promote`. */
  startReadOnly(): Promise<void>;
  promote(): Promise<void>;
}

export async function startRestartablePostgres(packageName: string): Promise<RestartablePostgres> {
  const isRoot = process.getuid?.() === 0;
  if (isRoot) {
    // The server runs as another user, who needs access to its folder.
    chmodSync(tmpdir(), 0o711);
  }
  const server = await startPostgresServer(packageName);
  const data = await readDataFolder(server.url);
  // The original command line: its path and each argument in quotes.
  const [postgres, ...args] = readFileSync(join(data, 'postmaster.opts'), 'utf8')
    .trim()
    .split(/ (?=")/);
  const options = args.map((arg) => arg.replace(/^"(.*)"$/, '$1'));
  options.splice(options.indexOf('-D'), 2);
  const { uid, gid } = statSync(data);
  const user = isRoot ? { uid, gid } : {};
  const control = (...command: string[]): Promise<unknown> =>
    promisify(execFile)(join(dirname(postgres!), 'pg_ctl'), [...command, '-w', '-D', data], { ...user, cwd: data });
  const start = async (): Promise<void> => {
    const text = options.map((option) => `'${option}'`).join(' ');
    await control('start', '-l', join(dirname(data), 'log'), '-o', text);
  };
  return {
    ...server,
    data,
    user,
    kill: (onKill) => killServer(server, data, onKill),
    crash: async () => void (await control('stop', '-m', 'immediate')),
    start,
    startReadOnly: async () => {
      const sign = join(data, 'standby.signal');
      writeFileSync(sign, '');
      if (isRoot) chownSync(sign, uid, gid);
      await start();
    },
    promote: async () => void (await control('promote')),
  };
}

async function killServer({ url }: PostgresServer, data: string, onKill?: () => void): Promise<void> {
  const others = await query<{ pid: number }>(url, 'SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()');
  const main = Number(readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n')[0]);
  process.kill(main, 'SIGKILL');
  onKill?.();
  await until(() => ![main, ...others.map(({ pid }) => pid)].some(isRunning), { message: 'the end of the server' });
}

/** Returns whether a process runs. A zombie does not: it has ended, but its parent has not noticed it yet. */
function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    // The process has just ended, or this system has no /proc.
    return !existsSync('/proc/self');
  }
}

async function readDataFolder(url: string): Promise<string> {
  const [row] = await query<{ data_directory: string }>(url, 'SHOW data_directory');
  return row!.data_directory;
}

async function query<T>(url: string, sql: string): Promise<T[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows as T[];
  } finally {
    await client.end();
  }
}
