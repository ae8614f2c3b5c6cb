import { execFile } from 'node:child_process';
import { chmodSync, chownSync, readFileSync, statSync, writeFileSync } from 'node:fs';
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
    kill: (onKill) => killServer(data, onKill),
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

async function killServer(data: string, onKill?: () => void): Promise<void> {
  const main = Number(readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n')[0]);
  const members = (await listProcesses()).filter(({ pid, parent }) => pid === main || parent === main);
  process.kill(main, 'SIGKILL');
  onKill?.();
  const isOver = async (): Promise<boolean> => {
    const running = (await listProcesses()).filter(({ state }) => !state.startsWith('Z')).map(({ pid }) => pid);
    return !members.some(({ pid }) => running.includes(pid));
  };
  await until(isOver, { message: 'the end of the server' });
}

async function listProcesses(): Promise<{ pid: number; parent: number; state: string }[]> {
  const { stdout } = await promisify(execFile)('ps', ['-eo', 'pid=,ppid=,stat=']);
  return stdout.split('\n').map((line) => {
    const [pid, parent, state = ''] = line.trim().split(/\s+/);
    return { pid: Number(pid), parent: Number(parent), state };
  });
}

async function readDataFolder(url: string): Promise<string> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<{ data_directory: string }>('SHOW data_directory');
    return rows[0]!.data_directory;
  } finally {
    await client.end();
  }
}
