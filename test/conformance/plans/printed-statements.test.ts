/** @matrix typeorm-0.3 */

import Database from 'better-sqlite3';
import type { Client } from 'pg';
import type { Statement } from '../../../scripts/statements.js';
import { listStatements } from '../../../scripts/statements.js';
import { postgresVersions } from '../../support/databases.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { openQueueTable } from './plan-table.js';

const statements = listStatements();

/** The statements that a database compiles by itself. PostgreSQL prepares no settings, transactions or LISTEN. */
const select = (database: Statement['database']): [string, string][] =>
  statements
    .filter((each) => each.database === database && /^(SELECT|INSERT|UPDATE|DELETE|WITH)\b/.test(each.text))
    .map(({ name, text }) => [name, text]);

describe('npm run sql', () => {
  it('lists the statements of both databases with their files', () => {
    const names = statements.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const database of ['postgres', 'sqlite']) {
      expect(names).toContain(`lib/store/jobs/claim.${database}.ts CLAIM`);
      expect(names).toContain(`lib/store/links/group.${database}.ts LIST_GROUPS`);
    }
  });
});

describe.each(postgresVersions())('the printed statements on PostgreSQL %s', (version) => {
  let client: Client;
  let drop: () => Promise<void>;

  beforeAll(async () => {
    ({ client, drop } = await openQueueTable(version));
  });

  afterAll(() => drop());

  it.each(select('postgres'))('%s compiles', async (_name, text) => {
    await expect(client.query(`PREPARE printed AS ${text}`)).resolves.toBeDefined();
    await client.query('DEALLOCATE printed');
  });
});

const files = storeKinds().filter(({ locksRows, canHaveTwoConnections }) => !locksRows && canHaveTwoConnections);

describe.each(files)('the printed statements on $label', (kind) => {
  const fixture = useStore(kind);

  it('compile', async () => {
    const [file] = await fixture.sql<{ file: string }>("SELECT file FROM pragma_database_list WHERE name = 'main'");
    const database = new Database(file!.file, { readonly: true });
    try {
      const refused = select('sqlite').flatMap(([name, text]) => {
        try {
          database.prepare(text);
          return [];
        } catch (error) {
          return [`${name}: ${(error as Error).message}`];
        }
      });
      expect(refused).toEqual([]);
    } finally {
      database.close();
    }
  });
});
