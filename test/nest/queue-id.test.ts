import { InvalidOptionsError } from 'nestjs-jobs';
import { openQueue } from '../orm/support/orm-queue.js';
import { createPostgresDatabase, createSqliteFile } from '../support/databases.js';

const databases = [
  {
    database: 'postgres' as const,
    create: async () => {
      const { url, drop } = await createPostgresDatabase('18');
      return { url, remove: drop };
    },
  },
  {
    database: 'sqlite' as const,
    create: async () => {
      const { path, remove } = await createSqliteFile();
      return { url: path, remove };
    },
  },
];

describe.each(databases)('the id of a queue on $database', ({ database, create }) => {
  it('is created by the next start that may, and missed by the others', async () => {
    const { url, remove } = await create();
    const first = await openQueue(database, url);
    await first.sql(`DELETE FROM _jobs_meta WHERE name = 'id'`);
    const refused = openQueue(database, url, { migrate: false });
    await expect(refused).rejects.toThrow(InvalidOptionsError);
    await expect(refused).rejects.toThrow(
      "migrate: is false, and the row of the table _jobs_meta with the name 'id' is missing; start once with true",
    );
    const second = await openQueue(database, url);
    const ids = await second.sql(`SELECT value FROM _jobs_meta WHERE name = 'id'`);
    expect(ids).toEqual([{ value: expect.stringMatching(/^[0-9a-f-]{32,36}$/) as string }]);
    await second.close();
    await first.close();
    await remove();
  });
});
