import { execFile } from 'node:child_process';
import { appendFileSync, chownSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { TcpProxy } from '../../support/tcp-proxy.js';
import { until } from '../../support/wait.js';
import type { RestartablePostgres } from './restartable-postgres.js';
import { startRestartablePostgres } from './restartable-postgres.js';

/** How a standby follows its primary. */
export interface Replication {
  /** Whether each commit waits for the standby. */
  readonly isSynchronous: boolean;
  /** The delay between the servers, in milliseconds. Default 0. */
  readonly lagMs?: number;
}

const STANDBY = 'standby';

/** Keeps the write-ahead log for a new standby, which asks for it every 100 ms. */
const SETTINGS = [`ALTER SYSTEM SET wal_keep_size = '1GB'`, 'ALTER SYSTEM SET wal_retrieve_retry_interval = 100'];

/**
 * Copies the data folder of a running server without its log. Files may change or disappear meanwhile. The standby repairs them
 * when it replays the log since the start of the backup.
 */
const COPY = `
rm -rf "$2"
cp -a "$1" "$2" 2>/dev/null
rm -rf "$2/postmaster.pid" "$2/pg_wal"
mkdir -p -m 700 "$2/pg_wal/archive_status" "$2/pg_wal/summaries"
`;

/** A primary and a standby that streams from it, both on this machine. */
export class ReplicatedPostgres {
  private constructor(
    private servers: { primary: RestartablePostgres; standby: RestartablePostgres },
    private readonly link: TcpProxy,
    private readonly replication: Replication,
  ) {}

  static async start(packageName: string, replication: Replication): Promise<ReplicatedPostgres> {
    const [primary, standby] = await Promise.all([1, 2].map(() => startRestartablePostgres(packageName)));
    const link = TcpProxy.before(primary!.url);
    await link.open();
    link.lag(replication.lagMs ?? 0);
    const pair = new ReplicatedPostgres({ primary: primary!, standby: standby! }, link, replication);
    try {
      await run(primary!.url, ...SETTINGS);
      await standby!.crash();
      await pair.attachStandby();
      return pair;
    } catch (error) {
      await pair.stop();
      throw error;
    }
  }

  /** The server that accepts writes. */
  get primary(): RestartablePostgres {
    return this.servers.primary;
  }

  get standby(): RestartablePostgres {
    return this.servers.standby;
  }

  /** Makes the standby the primary. The old primary must have ended. */
  async promote(): Promise<void> {
    const { primary, standby } = this.servers;
    await standby.promote();
    this.servers = { primary: standby, standby: primary };
  }

  /** Makes the stopped server a standby: copies the primary, starts it, and waits until it streams. */
  async attachStandby(): Promise<void> {
    const { primary, standby } = this.servers;
    await this.link.close();
    this.link.retarget(primary.url);
    await this.link.open();
    const client = new Client({ connectionString: primary.url });
    await client.connect();
    try {
      await client.query(`SELECT pg_backup_start('copy', fast => true)`);
      await promisify(execFile)('/bin/sh', ['-c', COPY, 'sh', primary.data, standby.data], {
        ...standby.user,
        cwd: '/',
      });
      const { rows } = await client.query<{ labelfile: string }>('SELECT labelfile FROM pg_backup_stop(false)');
      append(standby, 'backup_label', rows[0]!.labelfile);
      append(standby, 'postgresql.auto.conf', this.standbySettings());
      await standby.startReadOnly();
      const names = this.replication.isSynchronous ? STANDBY : '';
      await client.query(`ALTER SYSTEM SET synchronous_standby_names = '${names}'`);
      await client.query('SELECT pg_reload_conf()');
      const state = this.replication.isSynchronous ? 'sync' : 'async';
      const streams = `SELECT 1 FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = '${state}'`;
      await until(async () => (await client.query(streams)).rows.length > 0, { message: 'a standby that streams' });
    } finally {
      await client.end();
    }
  }

  async stop(): Promise<void> {
    await this.link.close();
    await Promise.all([this.primary.stop(), this.standby.stop()]);
  }

  /** If a name occurs twice, PostgreSQL uses the last setting. */
  private standbySettings(): string {
    const { hostname, port, username, password } = new URL(this.link.url);
    const target = `host=${hostname} port=${port} user=${username} password=${decodeURIComponent(password)}`;
    return `
primary_conninfo = '${target} application_name=${STANDBY}'
synchronous_standby_names = ''
`;
  }
}

/** Appends to a file of a stopped server. */
function append({ data, user: { uid, gid } }: RestartablePostgres, file: string, text: string): void {
  appendFileSync(join(data, file), text);
  if (uid !== undefined && gid !== undefined) chownSync(join(data, file), uid, gid);
}

async function run(url: string, ...statements: string[]): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  for (const statement of statements) await client.query(statement);
  await client.end();
}
