import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { createJobStore } from 'nestjs-jobs';
import { Client } from 'pg';
import { DataSource } from 'typeorm';
import { TcpProxy } from '../../support/tcp-proxy.js';
import type { RestartablePostgres } from '../../processes/support/restartable-postgres.js';
import type { DatabaseAddress } from '../protocol.js';
import { SmallDisk } from './small-disk.js';
import { postgresTables, sqliteTables } from './tables.js';

/** What a fault needs of the database. */
export interface Needs {
  /** Whether workers reach the server through a network that can be taken away. */
  readonly proxy?: boolean;
  /** Whether the SQLite file lies on a disk that can be filled. */
  readonly smallDisk?: boolean;
}

/** A fresh database for one run: with the queue's tables, the application's, and the ledger. */
export interface ChaosDatabase {
  readonly kind: 'postgres' | 'sqlite';
  /** The address for workers and enqueuers. */
  readonly address: DatabaseAddress;
  /** Queries the database directly, without the faults. */
  observe<T>(sql: string): Promise<T[]>;
  close(): Promise<void>;
}

export class PostgresChaosDatabase implements ChaosDatabase {
  readonly kind = 'postgres';

  private constructor(
    readonly server: RestartablePostgres,
    readonly network: TcpProxy | undefined,
    private readonly url: string,
  ) {}

  static async create(server: RestartablePostgres, { proxy }: Needs): Promise<PostgresChaosDatabase> {
    const name = `chaos_${randomUUID().replaceAll('-', '')}`;
    await new PostgresChaosDatabase(server, undefined, server.url).observe(`CREATE DATABASE ${name}`);
    const url = new URL(server.url);
    url.pathname = name;
    const network = proxy ? TcpProxy.before(url.href) : undefined;
    await network?.open();
    const target = new PostgresChaosDatabase(server, network, url.href);
    await createQueueTables({ type: 'postgres', url: url.href });
    await target.observe(postgresTables);
    return target;
  }

  get address(): DatabaseAddress {
    return { type: 'postgres', url: this.network?.url ?? this.url };
  }

  async observe<T>(sql: string): Promise<T[]> {
    const client = await this.connect();
    try {
      return (await client.query(sql)).rows as T[];
    } finally {
      await client.end();
    }
  }

  /** Opens a connection that no fault affects. */
  async connect(): Promise<Client> {
    const client = new Client({ connectionString: this.url, application_name: 'observer' });
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }

  async close(): Promise<void> {
    await this.network?.close();
    const name = new URL(this.url).pathname.slice(1);
    await new PostgresChaosDatabase(this.server, undefined, this.server.url).observe(
      `DROP DATABASE ${name} WITH (FORCE)`,
    );
  }
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
