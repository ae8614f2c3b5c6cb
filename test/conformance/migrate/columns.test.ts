/** @npm-test typeorm-0.3 */

import { COLUMNS, columnsWith, SQL_TYPES } from '../../../lib/store/jobs/columns.js';
import type { Column } from '../../../lib/store/jobs/columns.js';
import type { JobInsert } from '../../../lib/store/jobs/job-records.js';
import { toFreshJob } from '../../../lib/store/jobs/row-mapper.js';
import { claimOne, newJob } from '../../support/job-rows.js';
import { storeKinds, useStore } from '../../support/stores.js';

/** Values that differ from the defaults. `uniqueMode` is tested in unique-until-started.test.ts. */
const FULL: Partial<JobInsert> = {
  payload: '{"to":"ann"}',
  maxRetries: 7,
  priority: -5,
  timeoutMs: 5_000,
  backoff: { type: 'fixed', delayMs: 1_000, maxDelayMs: 60_000, jitter: 0 },
  uniqueKey: 'order 17',
  concurrencyKey: 'tenant 4',
  expiry: { at: new Date('2126-05-01T12:00:00.125Z') },
  idempotency: { key: 'request 9', bodyHash: 'hash' },
  labels: ['team:billing', 'vip'],
  metadata: '{"by":"shop"}',
  isWatched: true,
};

const columns = Object.entries<Column>(COLUMNS);

interface TableColumn {
  readonly name: string;
  readonly type: string;
  readonly nullable: boolean | number;
  readonly initial: string | null;
}

describe.each(storeKinds())('the columns of jobs on $label', (kind) => {
  const fixture = useStore(kind);

  it('are those of the table, with their types and defaults', async () => {
    const isPostgres = fixture.app.options.type === 'postgres';
    const table = await fixture.sql<TableColumn>(
      isPostgres
        ? `SELECT a.attname AS name, format_type(a.atttypid, NULL) AS type, NOT a.attnotnull AS nullable,
             pg_get_expr(d.adbin, d.adrelid) AS initial
           FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
           WHERE a.attrelid = '_jobs'::regclass AND a.attnum > 0 AND NOT a.attisdropped`
        : `SELECT name, lower(type) AS type, NOT "notnull" AS nullable, dflt_value AS initial FROM pragma_table_info('_jobs')`,
    );
    const found = table.map(({ name, type, nullable, initial }) => ({
      name,
      type: type.replace('timestamp with time zone', 'timestamptz'),
      isNullable: Boolean(nullable),
      initial: type.startsWith('timestamp') || type === 'datetime' ? null : toValue(initial),
    }));
    const described = columns.map(([name, { type, isNullable = false, initial = null }]) => ({
      name,
      type: SQL_TYPES[type][isPostgres ? 'postgres' : 'sqlite'],
      isNullable,
      initial:
        initial === null ? null : String(typeof initial === 'boolean' && !isPostgres ? Number(initial) : initial),
    }));
    expect(sortByName(found)).toEqual(sortByName(described));
  });

  it.each([{}, FULL])('make a fresh job equal to the stored one: %j', async (members) => {
    const row = newJob(members);
    const [inserted] = await fixture.store.insert([row]);
    expect({ ...toFreshJob(row, inserted!) }).toEqual({ ...(await fixture.job(row.id)) });
  });

  it('are written by an insert', async () => {
    const row = newJob(FULL);
    await fixture.store.insert([row]);
    const [stored] = await fixture.sql<Record<string, unknown>>(`SELECT * FROM _jobs WHERE id = '${row.id}'`);
    const unwritten = columnsWith('insert').filter(([name]) => stored![name] === null);
    // They need a mode of the unique key: see unique-until-started.test.ts.
    expect(unwritten.map(([name]) => name)).toEqual(['waiting_key', 'unique_until', 'debounce_until']);
  });

  // A job with a concurrency key has a claim of its own.
  it.each([{}, { ...FULL, concurrencyKey: null, isWatched: false }])(
    'are read by a claim as the job has them: %j',
    async (members) => {
      const claimed = await claimOne(fixture.store, members);
      const job = await fixture.job(claimed.id);
      // The expiry of a claim is a number.
      const fields = columnsWith('claim').flatMap(([, { field }]) => (field && field !== 'expiresAt' ? [field] : []));
      const read = fields.map((field) => [field, claimed[field as keyof typeof claimed]]);
      expect(read).toEqual(fields.map((field) => [field, job[field]]));
    },
  );
});

/** Removes casts and quotes from a default. */
function toValue(initial: string | null): string | null {
  return initial === null ? null : initial.replace(/::.*$/, '').replace(/^'(.*)'$/, '$1');
}

function sortByName<T extends { readonly name: string }>(list: readonly T[]): T[] {
  return [...list].sort((a, b) => (a.name < b.name ? -1 : 1));
}
