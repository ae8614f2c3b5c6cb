import type { Job, JobStatus } from 'nestjs-jobs';
import { createJobStore, JobsEngine } from 'nestjs-jobs';
import type { JobStore } from 'nestjs-jobs';
import { DataSource } from 'typeorm';
import type { PostgresVersion } from '../../support/databases.js';
import { createPostgresDatabase, createSqliteFile, postgresVersions } from '../../support/databases.js';
import { hasSqlite3, SQLITE3 } from '../../support/typeorm.js';
import { until } from '../../support/wait.js';
import type { Effect } from './effect.js';
import { EffectSchema } from './effect.js';
import type { DatabaseAddress, Task } from './protocol.js';

/** A new database with the tables of the queue and `effects`, and a producer in this process. */
export class QueueDatabase {
  private constructor(
    readonly address: DatabaseAddress,
    /** The application's DataSource in this process. */
    readonly app: DataSource,
    /** A producer: it never claims. */
    readonly engine: JobsEngine,
    private readonly store: JobStore,
    private readonly remove: () => Promise<void>,
  ) {}

  static async create(address: DatabaseAddress, remove: () => Promise<void>): Promise<QueueDatabase> {
    const app = await new DataSource({ ...address, entities: [EffectSchema], synchronize: true }).initialize();
    const { store } = createJobStore(app);
    await store.open();
    return new QueueDatabase(address, app, new JobsEngine({ store, role: 'producer' }), store, remove);
  }

  async close(): Promise<void> {
    await this.engine.stop();
    await this.store.close();
    await this.app.destroy();
    await this.remove();
  }

  /** Stores a job for the workers. */
  enqueue(topic: 'plain' | 'complete_tx' | 'transactional', task: Task = {}): Promise<Job> {
    return this.engine.enqueue(topic, task);
  }

  /** Returns the stored job. */
  async job(id: string): Promise<Job> {
    const job = await this.engine.jobs.get(id);
    if (!job) {
      throw new Error(`job ${id} is gone`);
    }
    return job;
  }

  /** Waits until the job is completed and returns it. */
  async completed(id: string, timeoutMs = 20_000): Promise<Job> {
    let job = await this.job(id);
    const isCompleted = async (): Promise<boolean> => {
      job = await this.job(id);
      return job.status === 'completed';
    };
    await until(isCompleted, { timeoutMs, message: () => `completion of the job ${JSON.stringify(job)}` });
    return job;
  }

  /** Returns the ids of the jobs with this status. */
  async findIds(status: JobStatus): Promise<string[]> {
    const rows = await this.app.query<{ id: string }[]>(`SELECT id FROM _jobs WHERE status = '${status}'`);
    return rows.map(({ id }) => id);
  }

  /** Returns the effects of one job or of all jobs. */
  effects(jobId?: string): Promise<Effect[]> {
    return this.app.getRepository(EffectSchema).find({ where: jobId === undefined ? {} : { jobId } });
  }

  /** Reads the status of a job and the number of its effects in one statement. */
  async statusAndEffects(id: string): Promise<{ status: string; effects: number }> {
    const [row] = await this.app.query<{ status: string; effects: string | number }[]>(
      `SELECT status, (SELECT count(*) FROM effects WHERE job_id = '${id}') AS effects FROM _jobs WHERE id = '${id}'`,
    );
    return { status: row!.status, effects: Number(row!.effects) };
  }
}

/** A kind of database, for `describe.each(databases)('$name', …)`. */
export interface DatabaseKind {
  readonly name: string;
  readonly create: () => Promise<QueueDatabase>;
}

async function createPostgres(version: PostgresVersion): Promise<QueueDatabase> {
  const { url, drop } = await createPostgresDatabase(version);
  return QueueDatabase.create({ type: 'postgres', url }, drop);
}

async function createSqlite(): Promise<QueueDatabase> {
  const { path, remove } = await createSqliteFile();
  return QueueDatabase.create({ type: hasSqlite3 ? SQLITE3 : 'better-sqlite3', database: path }, remove);
}

/** Each PostgreSQL server of this test run, the newest first. */
export const everyPostgres: readonly DatabaseKind[] = postgresVersions().map((version) => ({
  name: `PostgreSQL ${version}`,
  create: () => createPostgres(version),
}));

export const newestPostgres: DatabaseKind = everyPostgres[0]!;
export const sqlite: DatabaseKind = { name: hasSqlite3 ? 'SQLite with sqlite3' : 'SQLite', create: createSqlite };

/** One of each kind, for slow tests. With TypeORM 0.3 only the driver sqlite3 matters. */
export const newestDatabases: readonly DatabaseKind[] = hasSqlite3 ? [sqlite] : [newestPostgres, sqlite];
export const everyDatabase: readonly DatabaseKind[] = hasSqlite3 ? [sqlite] : [...everyPostgres, sqlite];
