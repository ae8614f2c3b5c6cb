import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findOrInstall } from './debian-package.js';
import { findFreePort } from './free-port.js';
import { findUnprivilegedUser } from './postgres-server.js';
import { until } from './wait.js';

/** A PgBouncer in front of a PostgreSQL server. It ends with this process at the latest. */
export interface PgBouncer {
  /** The given URL with the host and port of the pooler. */
  readonly url: string;
  stop(): Promise<void>;
}

/** When the pooler reuses a server connection: after each transaction, or when the client disconnects. */
export type PoolMode = 'session' | 'transaction';

/** Usual paths of the program. */
const PLACES = ['/usr/sbin/pgbouncer', '/usr/bin/pgbouncer', '/opt/homebrew/bin/pgbouncer'];

/** `cat` returns however the test run ends, as in the life of a PostgreSQL server. */
const LIFE = `
"$1" -q "$2/pgbouncer.ini" >"$2/log" 2>&1 & pooler=$!
cat >/dev/null
kill -QUIT $pooler
wait $pooler
rm -rf "$2"
`;

/**
 * Connections to the server. In transaction mode a few, each used in turn, so that a setting that strays is noticed; in
 * session mode every client needs one.
 */
const SERVER_CONNECTIONS: Readonly<Record<PoolMode, number>> = { transaction: 4, session: 80 };

/** Starts the PgBouncer that JOBS_TEST_PGBOUNCER names, else one that is there, else Debian's, which is installed now. */
export async function startPgBouncer(url: string, poolMode: PoolMode): Promise<PgBouncer> {
  const program = findPgBouncer();
  const server = new URL(url);
  const port = await findFreePort();
  const folder = mkdtempSync(join(tmpdir(), 'pgbouncer-'));
  const users = `"${server.username}" "${decodeURIComponent(server.password)}"\n`;
  writeFileSync(join(folder, 'users.txt'), users);
  writeFileSync(join(folder, 'pgbouncer.ini'), settings(server, port, folder, poolMode));
  // It refuses to run as root, and the other user must get through to its folder in the test run's own.
  const user = process.getuid?.() === 0 ? findUnprivilegedUser() : undefined;
  if (user) {
    chmodSync(tmpdir(), 0o711);
    execFileSync('chown', ['-R', `${user.uid}:${user.gid}`, folder]);
  }

  const life = spawn('/bin/sh', ['-c', LIFE, 'sh', program, folder], {
    ...user,
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const closed = once(life, 'close');
  await until(() => answers(port), { message: 'PgBouncer' });
  server.host = `127.0.0.1:${port}`;
  return {
    url: server.href,
    stop: async () => {
      life.stdin.end();
      await closed;
    },
  };
}

function settings(server: URL, port: number, folder: string, poolMode: PoolMode): string {
  return `
[databases]
* = host=${server.hostname} port=${server.port || '5432'}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = ${join(folder, 'users.txt')}
pool_mode = ${poolMode}
default_pool_size = ${SERVER_CONNECTIONS[poolMode]}
server_round_robin = 1
max_client_conn = 100
`;
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

/** Installs it if it is missing. */
export function findPgBouncer(): string {
  const need = 'the tests behind a pooler need PgBouncer: install it, or name one in JOBS_TEST_PGBOUNCER';
  return process.env.JOBS_TEST_PGBOUNCER || findOrInstall({ places: PLACES, debianPackage: 'pgbouncer', need });
}

/** Returns whether PgBouncer is installed. */
export function hasPgBouncer(): boolean {
  return Boolean(process.env.JOBS_TEST_PGBOUNCER) || PLACES.some((path) => existsSync(path));
}
