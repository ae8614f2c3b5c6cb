import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { insertMany } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';

type Statements = Record<string, unknown>;

const parameter = /\?\d+/g;

const FOLDER = join(__dirname, '../../../lib/store/sqlite/sql');

/** Reports that look up ids; the others read ranges (report-plans.test.ts). */
const reportsById = ['FIND_JOBS', 'SINGLE_IDS', 'JOB_SUMMARIES'];

/** Files without statements on single jobs: the dry run of a prune counts all jobs. */
const otherFiles = ['job-row.ts', 'inspection.ts'];

/** Every statement with its name. */
const all = readdirSync(FOLDER)
  .filter((file) => !otherFiles.includes(file))
  .flatMap((file) => {
    // eslint-disable-next-line @typescript-eslint/no-require-imports -- loads every file of the folder
    const statements = require(join(FOLDER, file)) as Statements;
    const isSelected = (name: string): boolean =>
      !/^(list|stats|known-topics)\./.test(file) || reportsById.includes(name);
    return Object.entries(statements).filter(([name]) => isSelected(name));
  })
  .flatMap(listTexts);

function listTexts([name, value]: [string, unknown]): [string, string][] {
  if (typeof value === 'string') {
    return [[name, value]];
  }
  return typeof value === 'object' && value ? Object.entries(value as Statements).flatMap(listTexts) : [];
}

const files = storeKinds().filter(({ locksRows, canHaveTwoConnections }) => !locksRows && canHaveTwoConnections);

describe.each(files)('a database that was analyzed with few jobs, on $label', (kind) => {
  const fixture = useStore(kind);

  /** Lists statements that read the whole table for a few jobs. */
  const listTableScans = async (): Promise<string[]> => {
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
    expect(await listTableScans()).toEqual([]);
  });
});
