import type { Client } from 'pg';
import * as log from '../../../lib/store/logs/log.postgres.js';
import { postgresVersions } from '../../support/databases.js';
import type { PlanMode } from './plan.js';
import { explain } from './plan.js';
import { openQueueTable } from './plan-table.js';

const JOBS = 3_000;
const LINES = 20;
/** Jobs of one statement. */
const SET = 100;

const toId = (n: number): string => `01900000-0000-7000-8000-${String(n).padStart(12, '0')}`;
const ids = Array.from({ length: SET }, (_, n) => toId(n * 7));
const lines = ids.map((id) => ({ id, attempt: 2, line: 1, level: 'info', message: 'm', data: null, age_ms: 1 }));

const statements = [
  { name: 'INSERT_LINES', sql: log.INSERT_LINES, types: 'jsonb', values: [JSON.stringify(lines)], buffersMax: 2_000 },
  {
    name: 'TRIM_LINES',
    sql: log.TRIM_LINES,
    types: 'jsonb, int',
    values: [JSON.stringify(ids), 15],
    buffersMax: 6_000,
  },
  {
    name: 'READ_LINES',
    sql: log.READ_LINES,
    types: 'uuid, int, int, int',
    values: [toId(7), 1, 5, 10],
    buffersMax: 30,
  },
  { name: 'WATCHED_JOBS', sql: log.WATCHED_JOBS, types: 'jsonb', values: [JSON.stringify(ids)], buffersMax: 1_500 },
  { name: 'LOGGED_JOBS', sql: log.LOGGED_JOBS, types: 'uuid, int', values: [toId(0), 1_000], buffersMax: 12_000 },
  { name: 'DELETE_LINES', sql: log.DELETE_LINES, types: 'jsonb', values: [JSON.stringify(ids)], buffersMax: 6_000 },
];
const modes: PlanMode[] = ['custom', 'generic'];
const cases = statements.flatMap((statement) => modes.map((mode) => ({ ...statement, mode })));

describe.each(postgresVersions().slice(0, 1))('plans for log lines on PostgreSQL %s', (version) => {
  let drop: () => Promise<void>;
  let client: Client;

  beforeAll(async () => {
    ({ client, drop } = await openQueueTable(version));
    await client.query('ALTER TABLE _jobs_logs SET (autovacuum_enabled = false)');
    // Statistics of a moment at which no job had a line.
    await client.query('ANALYZE');
    await client.query(`
      INSERT INTO _jobs (id, topic, payload)
      SELECT ('01900000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'work', '1' FROM generate_series(0, ${JOBS - 1}) n`);
    await client.query(`
      INSERT INTO _jobs_logs (job_id, attempt, line, level, message, time)
      SELECT id, 1, line, 'info', repeat('m', 60), now() FROM _jobs, generate_series(1, ${LINES}) line`);
  });

  afterAll(() => drop());

  it.each(cases)('$name reads only the lines of its jobs ($mode plan)', async ({ mode, buffersMax, ...statement }) => {
    const { nodes, buffers } = await explain(client, mode, statement);
    expect(nodes.filter((node) => /^Seq Scan _jobs/.test(node))).toEqual([]);
    expect(buffers).toBeLessThanOrEqual(buffersMax);
  });
});
