import type { JobsOptions } from 'nestjs-jobs';
import { createPostgresDatabase, createSqliteFile } from '../../support/databases.js';
import type { OrmName } from './install-orm.js';
import { loadDriver, ORMS } from './install-orm.js';
import type { OpenOrm, OrmDriver, OrmTransaction } from './orm-driver.js';
import type { OrmQueue } from './orm-queue.js';
import { openQueue } from './orm-queue.js';

export type OrmDatabase = 'postgres' | 'sqlite';

const ON_SQLITE: readonly OrmName[] = ['prisma', 'drizzle', 'kysely', 'knex'];

/** Each ORM on each of its databases. */
export const everyOrm = ORMS.flatMap((name): { name: OrmName; database: OrmDatabase; label: string }[] => [
  { name, database: 'postgres', label: 'PostgreSQL 18' },
  ...(ON_SQLITE.includes(name) ? [{ name, database: 'sqlite' as const, label: 'a SQLite file' }] : []),
]);

/** A database with a queue, and the application's ORM on it. */
export class OrmWorld {
  driver!: OrmDriver;
  orm!: OpenOrm;
  queue!: OrmQueue;
  url!: string;
  /** Closed after all tests, the last one first. */
  readonly leftOvers: (() => Promise<unknown>)[] = [];

  constructor(
    readonly name: OrmName,
    readonly database: OrmDatabase,
  ) {}

  /** Whether a transaction ends with the tick. */
  get isSynchronous(): boolean {
    return this.database === 'sqlite' && this.driver.isSynchronous === true;
  }

  async createDatabase(): Promise<string> {
    if (this.database === 'sqlite') {
      const { path, remove } = await createSqliteFile();
      this.leftOvers.push(remove);
      return path;
    }
    const { url, drop } = await createPostgresDatabase('18');
    this.leftOvers.push(drop);
    return url;
  }

  async openQueue(options?: JobsOptions, url = this.url): Promise<OrmQueue> {
    const queue = await openQueue(this.database, url, options);
    this.leftOvers.push(() => queue.close());
    return queue;
  }

  async openOrm(url = this.url): Promise<OpenOrm> {
    const orm = await this.driver.open(this.database, url);
    this.leftOvers.push(() => orm.close());
    return orm;
  }

  async open(): Promise<void> {
    this.driver = loadDriver(this.name);
    this.url = await this.createDatabase();
    this.queue = await this.openQueue();
    this.orm = await this.openOrm();
  }

  async close(): Promise<void> {
    for (const close of this.leftOvers.splice(0).reverse()) await close();
  }

  /** The ids that the application has written. */
  async effects(): Promise<unknown[]> {
    return (await this.queue.sql('SELECT id FROM effects ORDER BY id')).map(({ id }) => id);
  }

  async countJobs(): Promise<number> {
    return Number((await this.queue.sql('SELECT count(*) AS n FROM _jobs'))[0]!.n);
  }

  /** Writes and enqueues in one tick, for transactions that end with it. */
  async writeAndEnqueue(tx: OrmTransaction, effect: string, topic = 'idle'): Promise<string> {
    const written = insertEffect(tx, effect);
    const stored = this.queue.engine.enqueueTx(tx.adapt(), topic, { effect });
    await written;
    return (await stored).id;
  }
}

export const insertEffect = (tx: OrmTransaction, id: string): Promise<unknown> =>
  tx.run(`INSERT INTO effects (id) VALUES ('${id}')`);

/** Opens a database for the tests of the surrounding `describe`. Each test begins without events and effects. */
export function useOrm(name: OrmName, database: OrmDatabase): OrmWorld {
  const world = new OrmWorld(name, database);
  beforeAll(() => world.open(), 300_000);
  beforeEach(async () => {
    world.queue.events.length = 0;
    await world.queue.sql('DELETE FROM effects');
  });
  afterAll(() => world.close());
  return world;
}
