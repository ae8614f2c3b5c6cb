import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { insertMany } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';

type Statements = Record<string, unknown>;

const parameter = /\?\d+/g;

const FOLDER = join(__dirname, '../../../lib/store/sqlite/sql');

/** Reports look at ranges (report-plans.test.ts), but for these. */
const reportsById = ['FIND_JOBS', 'SINGLE_IDS', 'JOB_SUMMARIES'];

/** Every statement there is, by its name. */
const all = readdirSync(FOLDER)
  .filter((file) => file !== 'job-row.ts')
  .flatMap((file) => {
    // eslint-disable-next-line @typescript-eslint/no-require-imports -- whichever files there are
    const statements = require(join(FOLDER, file)) as Statements;
    const isMeant = (name: string): boolean => !/^(list|stats)\./.test(file) || reportsById.includes(name);
    return Object.entries(statements).filter(([name]) => isMeant(name));
  })
  .flatMap(textsOf);

function textsOf([name, value]: [string, unknown]): [string, string][] {
  if (typeof value === 'string') {
    return [[name, value]];
  }
  return typeof value === 'object' && value ? Object.entries(value as Statements).flatMap(textsOf) : [];
}

const files = storeKinds().filter(({ locksRows, canHaveTwoConnections }) => !locksRows && canHaveTwoConnections);

describe.each(files)('a database that was analyzed while it held few jobs, on $label', (kind) => {
  const fixture = useStore(kind);

  /** What reads the whole table though it is asked for a few jobs. */
  const scansOf = async (): Promise<string[]> => {
    const [file] = await fixture.sql<{ file: string }>("SELECT file FROM pragma_database_list WHERE name = 'main'");
    const database = new Database(file!.file, { readonly: true });
    try {
      return all
        .filter(([, text]) => /^\s*(WITH|SELECT|UPDATE|DELETE)\b[^]*_jobs\b/.test(text))
        .flatMap(([name, text]) => {
          const statement = database.prepare(`EXPLAIN QUERY PLAN ${text.replace(parameter, '?')}`);
          const steps = statement.all(...(text.match(parameter) ?? []).map(() => null)) as { detail: string }[];
          return steps
            .filter(({ detail }) => /^SCAN (j|k|_jobs)\b/.test(detail))
            .map(({ detail }) => `${name}: ${detail}`);
        });
    } finally {
      database.close();
    }
  };

  it.each([10, 100, 1_000])('looks up jobs by id, with %i jobs at the last ANALYZE', async (count) => {
    await insertMany(fixture.store, count);
    await fixture.sql('ANALYZE');
    expect(await scansOf()).toEqual([]);
  });
});
