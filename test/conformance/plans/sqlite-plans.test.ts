/**
 * @npm-test memory
 * @matrix typeorm-0.3
 */

import Database from 'better-sqlite3';
import { listStatements } from '../../../scripts/statements.js';
import { insertMany } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';

const parameter = /\?\d+/g;

/** Reports that look up ids; the others read ranges (report-plans.test.ts). */
const REPORTS_BY_ID = ['FIND_JOBS', 'SINGLE_IDS', 'JOB_SUMMARIES'];

/** Every statement on single jobs. The dry run of a prune, among the inspections, counts all jobs. */
const all = listStatements().filter(
  ({ database, name }) =>
    database === 'sqlite' &&
    !/\/inspection\./.test(name) &&
    (!/\/(lists|reports)\//.test(name) || REPORTS_BY_ID.some((each) => name.includes(` ${each}`))),
);

const files = storeKinds().filter(({ locksRows, canHaveTwoConnections }) => !locksRows && canHaveTwoConnections);

describe.each(files)('a database that was analyzed with few jobs, on $label', (kind) => {
  const fixture = useStore(kind);

  /** Lists statements that read the whole table for a few jobs. */
  const listTableScans = async (): Promise<string[]> => {
    const [file] = await fixture.sql<{ file: string }>("SELECT file FROM pragma_database_list WHERE name = 'main'");
    const database = new Database(file!.file, { readonly: true });
    try {
      return all
        .filter(({ text }) => /^\s*(WITH|SELECT|UPDATE|DELETE)\b[^]*_jobs\b/.test(text))
        .flatMap(({ name, text }) => {
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
