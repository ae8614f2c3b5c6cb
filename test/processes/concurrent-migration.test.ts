/**
 * @matrix sqlite
 * @slow
 */

import { jobsMigrations } from 'nestjs-jobs';
import { DataSource } from 'typeorm';
import { createPostgresDatabase, createSqliteFile, postgresVersions } from '../support/databases.js';
import { until } from '../support/wait.js';
import { useBuiltPackage } from './support/built-package.js';
import { killPrograms, Program } from './support/program.js';
import type { DatabaseAddress } from './support/protocol.js';

/** Repeats the test, because a race does not fail every time. */
const ROUNDS = 10;

interface FreshDatabase {
  address: DatabaseAddress;
  remove: () => Promise<void>;
}

const kinds: { name: string; create: () => Promise<FreshDatabase> }[] = [
  ...postgresVersions().map((version) => ({
    name: `PostgreSQL ${version}`,
    create: async () => {
      const { url, drop } = await createPostgresDatabase(version);
      return { address: { type: 'postgres', url } as const, remove: drop };
    },
  })),
  {
    name: 'SQLite',
    create: async () => {
      const { path, remove } = await createSqliteFile();
      return { address: { type: 'better-sqlite3', database: path } as const, remove };
    },
  },
];

useBuiltPackage();

describe.each(kinds)('two processes that start at the same time on a new $name database', ({ create }) => {
  afterEach(killPrograms);

  async function migrations(address: DatabaseAddress): Promise<unknown[]> {
    const dataSource = await new DataSource(address).initialize();
    try {
      return await dataSource.query('SELECT name FROM _jobs_migrations ORDER BY id');
    } finally {
      await dataSource.destroy();
    }
  }

  it('migrate it once and can both use it', async () => {
    const first = await create();
    const settings = { database: first.address };
    const programs = await Promise.all([1, 2].map(() => Program.start('migrator', settings)));
    for (let round = 1; round <= ROUNDS; round += 1) {
      const { address, remove } = round === 1 ? first : await create();
      programs.forEach((program) => program.send({ migrate: address }));
      await until(() => programs.every((program) => program.all('migrated').length === round), {
        message: `round ${round}`,
      });
      expect(await migrations(address)).toEqual(jobsMigrations.map((migration) => ({ name: new migration().name })));
      await remove();
    }
    expect(programs.flatMap((program) => program.all('migrated').map(({ error }) => error))).toEqual(
      Array.from({ length: 2 * ROUNDS }, () => null),
    );
  });
});
