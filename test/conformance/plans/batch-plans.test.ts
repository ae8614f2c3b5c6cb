/** @npm-test postgres-15 */

import type { Client } from 'pg';
import {
  MARK_STARTED,
  MARK_STARTED_BY_ROW_REF,
  MAY_START,
  RECORD_PROGRESS,
  RENEW,
} from '../../../lib/store/jobs/lease.postgres.js';
import { INSERT_DEAD_LETTERS, LINK_DEAD_LETTERS } from '../../../lib/store/links/dead-letter.postgres.js';
import { PRUNE } from '../../../lib/store/jobs/maintenance.postgres.js';
import { CANCEL, DELETE, PROMOTE, REQUEUE } from '../../../lib/store/jobs/actions.postgres.js';
import { COMPLETE, COMPLETE_AND_DELETE, DISCARD, SETTLE } from '../../../lib/store/jobs/settle.postgres.js';
import { postgresVersions } from '../../support/databases.js';
import type { PlanMode } from './plan.js';
import { explain } from './plan.js';
import { openQueueTable } from './plan-table.js';

const ROWS = 5_000;
/** The maximum size of a batch. */
const OWNED = 1_000;

const toId = (n: number): string => `01900000-0000-7000-8000-${String(n).padStart(12, '0')}`;
const tokens = Array.from({ length: OWNED }, (_, n) => ({ id: toId(n), attempt: 1 }));
const outcomes = tokens.map((token) => ({ ...token, kind: 'completed', delay_ms: 0, ran_ms: 1, result: null }));
const failures = outcomes.map((outcome) => ({ ...outcome, kind: 'failed', message: 'no luck' }));
const values = tokens.map((token) => ({ ...token, progress: 1 }));

const ones = tokens.map(() => 1).join(',');
const arrays = [`{${tokens.map(({ id }) => id).join(',')}}`, `{${ones}}`, `{${ones}}`, `{${ones}}`, `[${ones}]`];
const arrayTypes = 'uuid[], int[], float8[], float8[], jsonb, tid[]';

/** Statements that write jobs of a worker, a full batch at once. */
const statements: { name: string; sql: string; types: string; values: (string | number)[]; isPlaced?: boolean }[] = [
  { name: 'SETTLE', sql: SETTLE, types: 'jsonb', values: [JSON.stringify(outcomes)] },
  { name: 'COMPLETE', sql: COMPLETE, types: arrayTypes, values: arrays, isPlaced: true },
  { name: 'COMPLETE_AND_DELETE', sql: COMPLETE_AND_DELETE, types: arrayTypes, values: arrays, isPlaced: true },
  {
    name: 'MARK_STARTED_BY_ROW_REF',
    sql: MARK_STARTED_BY_ROW_REF,
    types: 'uuid[], int[], tid[]',
    values: arrays.slice(0, 2),
    isPlaced: true,
  },
  { name: 'MARK_STARTED', sql: MARK_STARTED, types: 'jsonb', values: [JSON.stringify(tokens)] },
  { name: 'MAY_START', sql: MAY_START, types: 'jsonb', values: [JSON.stringify(tokens)] },
  { name: 'RENEW', sql: RENEW, types: 'jsonb, float8', values: [JSON.stringify(tokens), 30_000] },
  { name: 'RECORD_PROGRESS', sql: RECORD_PROGRESS, types: 'jsonb', values: [JSON.stringify(values)] },
  {
    name: 'INSERT_DEAD_LETTERS',
    sql: INSERT_DEAD_LETTERS,
    types: 'jsonb',
    values: [JSON.stringify(tokens.map(({ id }) => id))],
  },
  {
    name: 'LINK_DEAD_LETTERS',
    sql: LINK_DEAD_LETTERS,
    types: 'jsonb',
    values: [JSON.stringify(tokens.map(({ id }) => ({ id, letters: [] })))],
  },
  { name: 'SETTLE of failures', sql: SETTLE, types: 'jsonb', values: [JSON.stringify(failures)] },
  { name: 'DISCARD', sql: DISCARD, types: 'jsonb, text[]', values: [JSON.stringify(tokens), '{processing}'] },
];
/** Statements of admin actions, a full batch at once. */
const meant = [arrays[0]!, '{pending,failed}', '2035-01-01'];
const entry = '{"action":"requeue","via":"api","by":"anna"}';
const meantTypes = 'uuid[], text[], timestamptz';
const moves: { name: string; sql: string; types: string; values: (string | number)[] }[] = [
  { name: 'PROMOTE', sql: PROMOTE.several, types: `${meantTypes}, jsonb`, values: [...meant, entry] },
  { name: 'CANCEL', sql: CANCEL.several, types: `${meantTypes}, jsonb`, values: [...meant, entry] },
  { name: 'DELETE', sql: DELETE.several, types: meantTypes, values: meant },
  {
    name: 'REQUEUE',
    sql: REQUEUE.several,
    types: `${meantTypes}, jsonb, timestamptz, int, jsonb`,
    values: [...meant, '1', '2035-01-01', 3, entry],
  },
];
const modes: PlanMode[] = ['custom', 'generic'];
const cases = statements.flatMap((statement) => modes.map((mode) => ({ ...statement, mode })));

describe.each(postgresVersions())('plans for batches on PostgreSQL %s', (version) => {
  let drop: () => Promise<void>;
  let client: Client;
  let places: string;

  beforeAll(async () => {
    ({ client, drop } = await openQueueTable(version));
    await client.query(`
      INSERT INTO _jobs (id, topic, payload)
      SELECT ('01900000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'work', '1' FROM generate_series(0, ${ROWS - 1}) n`);
    // Statistics from a time without running jobs: the planner expects very few of them.
    await client.query('ANALYZE _jobs');
    await client.query(`
      UPDATE _jobs SET status = 'processing', attempt = 1, locked_until = statement_timestamp() + interval '1 minute'
      WHERE id < '${toId(OWNED)}'`);
    const { rows } = await client.query<{ places: string }>(
      'SELECT array_agg(ctid ORDER BY id)::text AS places FROM _jobs WHERE attempt = 1',
    );
    ({ places } = rows[0]!);
  });

  afterAll(() => drop());

  it.each(cases)(
    '$name looks up each row and reads no other ($mode plan)',
    async ({ mode, isPlaced, ...statement }) => {
      const values = isPlaced ? [...statement.values, places] : statement.values;
      const { inVain, nodes } = await explain(client, mode, { ...statement, values });
      const wanted = isPlaced ? 'Tid Scan _jobs' : 'Index Scan _jobs_pkey';
      const looks = nodes.filter((node) => / _jobs(?!_topics_pkey)/.test(node) && !node.startsWith('ModifyTable'));
      expect(new Set(looks)).toEqual(new Set([wanted]));
      expect(inVain).toBe(0);
    },
  );

  describe('in a table that was vacuumed while it was empty', () => {
    beforeAll(async () => {
      // The planner then expects one row in a table of any size.
      await client.query(`UPDATE pg_class SET reltuples = 0, relpages = 100 WHERE oid = '_jobs'::regclass`);
    });

    it.each(moves)('$name does not compare its members with the table', async (move) => {
      const { inVain, rows } = await explain(client, 'custom', move);
      expect(rows).toBe(OWNED);
      expect(inVain).toBeLessThanOrEqual(2 * OWNED * OWNED);
    });

    it('PRUNE does not compare what it deletes with the table', async () => {
      await client.query(`
        UPDATE _jobs SET status = 'completed', locked_until = NULL, finished = statement_timestamp()
        WHERE id < '${toId(OWNED)}'`);
      const values = ['00000000-0000-0000-0000-000000000000', ROWS, '[{"status": "completed", "age_ms": 0}]', 0, '{}'];
      const prune = { sql: PRUNE, types: 'uuid, int, jsonb, float8, uuid[]', values };
      const { inVain, nodes } = await explain(client, 'custom', prune);
      expect(nodes.join()).toContain('Index Scan _jobs_pkey');
      expect(inVain).toBeLessThanOrEqual(OWNED * OWNED);
    });
  });

  describe('in a table that was drained since the last ANALYZE', () => {
    beforeAll(async () => {
      await client.query("UPDATE _jobs SET status = 'pending', locked_until = NULL, finished = NULL");
      await client.query('ANALYZE _jobs');
      await client.query("UPDATE _jobs SET status = 'completed', finished = statement_timestamp()");
    });

    it.each(modes)('PRUNE looks up old rows only (%s plan)', async (mode) => {
      const ages = '[{"status": "completed", "age_ms": 60000}]';
      const values = ['00000000-0000-0000-0000-000000000000', OWNED, ages, 60_000, '{}'];
      const { inVain } = await explain(client, mode, { sql: PRUNE, types: 'uuid, int, jsonb, float8, uuid[]', values });
      expect(inVain).toBeLessThanOrEqual(2 * OWNED);
    });

    it.each(modes)('PRUNE looks up old rows only, by the ages that 1,000 topics declare (%s plan)', async (mode) => {
      await client.query(`
        INSERT INTO _jobs_topics (topic, retention)
        SELECT CASE n WHEN 1 THEN 'work' ELSE 't' || n END, '{"completed": 60000, "failed": false}' FROM generate_series(1, 1000) n`);
      const values = ['00000000-0000-0000-0000-000000000000', OWNED, '[{"status": "completed", "age_ms": 0}]', 0, '{}'];
      const prune = { sql: PRUNE, types: 'uuid, int, jsonb, float8, uuid[]', values };
      const { inVain, nodes } = await explain(client, mode, prune);
      // The topics are read once.
      expect(nodes.filter((node) => node.endsWith(' _jobs_topics'))).toHaveLength(1);
      expect(inVain).toBeLessThanOrEqual(2 * OWNED);
      await client.query('DELETE FROM _jobs_topics');
    });
  });
});
