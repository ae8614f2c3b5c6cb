/** @npm-test postgres-15 */

import type { Client } from 'pg';
import * as claims from '../../../lib/store/jobs/claim.postgres.js';
import * as inserts from '../../../lib/store/jobs/insert.postgres.js';
import * as leases from '../../../lib/store/jobs/lease.postgres.js';
import * as maintenance from '../../../lib/store/jobs/maintenance.postgres.js';
import * as moves from '../../../lib/store/jobs/actions.postgres.js';
import * as lists from '../../../lib/store/lists/list.postgres.js';
import * as schedules from '../../../lib/store/schedules/schedule.postgres.js';
import * as uniqueKeys from '../../../lib/store/jobs/unique.postgres.js';
import * as counts from '../../../lib/store/reports/counts.postgres.js';
import * as reports from '../../../lib/store/reports/reports.postgres.js';
import * as settling from '../../../lib/store/jobs/settle.postgres.js';
import { postgresVersions } from '../../support/databases.js';
import { openQueueTable } from './plan-table.js';
import { listScans } from './scans.js';

const ROWS = 50_000;

/** Statements that may scan an index from its start: to count all rows, over running jobs, or up to a limit. */
const WALKS: Readonly<Record<string, readonly string[]>> = {
  COUNTS: ['_jobs_listed', '_jobs_processing', '_jobs_retrying'],
  COUNTS_OF_TOPICS: ['_jobs_processing'],
  TOPICS: ['_jobs_listed', '_jobs_processing'],
  'FAILING_TOPICS, failed': ['_jobs_ended'],
  'FAILING_TOPICS, retrying': ['_jobs_retrying'],
  WAITING_TOPICS: ['_jobs_keyed', '_jobs_pending'],
  HAS_MORE_THAN: ['_jobs_pkey'],
  // Sent with a plan for its values: list-times.test.ts measures it.
  'WITH_KEY, label': ['_jobs_pkey'],
  'a list of ranges, ids': ['_jobs_processing'],
  'a list of ranges, count': ['_jobs_processing'],
  'a list of ranges with dates, ids': ['_jobs_processing'],
  'a list of ranges with dates, count': ['_jobs_processing'],
};

const laneLists = {
  'a list of ranges': lists.LIST_RANGES.unfiltered.retrying,
  'a list of ranges with dates': lists.LIST_RANGES.filtered.retrying,
};

const written = {
  ...inserts,
  ...uniqueKeys,
  ...claims,
  ...leases,
  ...settling,
  ...moves,
  ...maintenance,
  ...schedules,
};

/** Every statement on `_jobs` with its name. */
const texts: [string, string][] = Object.entries<unknown>({ ...written, ...lists, ...counts, ...reports, ...laneLists })
  .flatMap(([name, value]): [string, unknown][] =>
    typeof value === 'object' && value !== null
      ? Object.entries(value).map(([form, text]): [string, unknown] => [`${name}, ${form}`, text])
      : [[name, value]],
  )
  .filter((entry): entry is [string, string] => typeof entry[1] === 'string')
  .filter(([, text]) => /^\s*(WITH|SELECT|INSERT|UPDATE|DELETE)\b[^]*\b_jobs\b/.test(text));

describe.each(postgresVersions())('generic plans on PostgreSQL %s', (version) => {
  let drop: () => Promise<void>;
  let client: Client;

  beforeAll(async () => {
    ({ client, drop } = await openQueueTable(version));
    await client.query(`
      INSERT INTO _jobs (id, topic, payload, unique_key, idempotency_key, status, finished)
      SELECT gen_random_uuid(), 'topic ' || n % 50, '1', n::text, n::text, CASE WHEN n % 10 < 8 THEN 'completed' ELSE 'pending' END,
        CASE WHEN n % 10 < 8 THEN statement_timestamp() END
      FROM generate_series(1, ${ROWS}) n`);
    await client.query('VACUUM (ANALYZE) _jobs');
  });

  afterAll(() => drop());

  async function listIndexScans(text: string): Promise<string[]> {
    await client.query(`PREPARE asked AS ${text}`);
    const scans = await listScans(client, 'asked', text);
    await client.query('DEALLOCATE asked');
    return [...new Set(scans.map(({ node, index }) => index ?? node))].sort();
  }

  it.each(texts)('find the rows of %s by an index', async (name, text) => {
    expect(await listIndexScans(text)).toEqual(WALKS[name] ?? []);
  });

  it('would read the table for a condition on a parameter', async () => {
    const naive = maintenance.PRUNE.replace(/id > coalesce\([^)]*\)/, '($1::uuid IS NULL OR id > $1::uuid)');
    expect(naive).not.toBe(maintenance.PRUNE);
    expect(await listIndexScans(naive)).toEqual(['_jobs_pkey']);
  });

  it('would collect all rows before a limit with bitmap scans', async () => {
    await client.query('SET enable_bitmapscan = on');
    expect(await listIndexScans(laneLists['a list of ranges with dates'].ids)).toContain('Bitmap Heap Scan');
    await client.query('RESET enable_bitmapscan');
  });
});
