/** @matrix all */

import type { Client } from 'pg';
import { GAUGES } from '../../../lib/store/reports/reports.postgres.js';
import { GAUGE_LIMITS } from '../../../lib/store/reports/report-records.js';
import { postgresVersions } from '../../support/databases.js';
import { explain } from './plan.js';
import { openQueueTable } from './plan-table.js';

const { exactCount, countedJobs } = GAUGE_LIMITS;
const ROWS = 1_000_000;
const TOPICS = 100;
const KEYS = 10_000;
const FILL_TIMEOUT_MS = 300_000;

/** Pages of the first rows of each pair and each lane. */
const BUFFERS_PER_TOPIC = 500;

/** Half of the jobs are in the first topic. A lower number waits longer. The table is not vacuumed, so each row costs a page. */
const FILL = `
  INSERT INTO _jobs (id, topic, run_at, payload, concurrency_key, flow_key)
  SELECT ('0190' || lpad(to_hex(n), 28, '0'))::uuid, 'topic_' || n * (n % 2) % ${TOPICS},
    statement_timestamp() - (${ROWS} - n) * interval '1 second', '1', 'key_' || n % ${KEYS}, 'key_' || n % ${KEYS}
  FROM generate_series(0, ${ROWS - 1}) AS n`;

interface GaugeRow {
  readonly topic: string;
  readonly kind: string;
  readonly value: number;
}

describe.each(postgresVersions())('gauges of a million waiting jobs on PostgreSQL %s', (version) => {
  let drop: () => Promise<void>;
  let client: Client;

  beforeAll(async () => {
    ({ client, drop } = await openQueueTable(version));
    await client.query('SET statement_timeout = 0');
    await client.query(FILL);
  }, FILL_TIMEOUT_MS);

  afterAll(() => drop());

  it('read a bounded number of rows', async () => {
    const { buffers, nodes } = await explain(client, 'generic', { sql: GAUGES, types: 'float8', values: [60_000] });
    expect(nodes.filter((node) => /Seq Scan _jobs$|Bitmap/.test(node))).toEqual([]);
    expect(buffers).toBeLessThan(1.1 * (countedJobs + TOPICS * exactCount) + BUFFERS_PER_TOPIC * TOPICS);
  });

  it('count each topic up to its share, and find its oldest job', async () => {
    const { rows } = await client.query<GaugeRow>(GAUGES.replace('$1', '60000'));
    const read = (wanted: string): number[] =>
      rows.filter(({ kind }) => kind === wanted).map(({ value }) => Number(value));
    const topics = read('pending').length;
    expect(topics).toBe(1 + TOPICS / 2);
    expect(new Set(read('pending'))).toEqual(new Set([Math.floor(countedJobs / topics)]));
    expect(read('oldest')).toHaveLength(topics);
    expect(Math.min(...read('oldest'))).toBeGreaterThan((ROWS - 2 * TOPICS) * 1_000);
  });
});
