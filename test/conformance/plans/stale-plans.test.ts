/** @npm-test postgres-15 */

import type { Client } from 'pg';
import { PREPARED_NAMES } from '../../../lib/store/postgres/session-settings.js';
import { COMPLETE, SETTLE } from '../../../lib/store/jobs/settle.postgres.js';
import { postgresVersions } from '../../support/databases.js';
import { openQueueTable } from './plan-table.js';
import { listScans } from './scans.js';

const ROWS = 5_000;

describe.each(postgresVersions())('plans that were created on an empty table, on PostgreSQL %s', (version) => {
  let drop: () => Promise<void>;
  let client: Client;

  beforeAll(async () => {
    ({ client, drop } = await openQueueTable(version));
  });

  afterAll(() => drop());

  /** Returns the scans of a plan that was created on an empty table, after the table has grown. */
  async function listScansOfOldPlan(name: string, text: string): Promise<string[]> {
    await client.query('DELETE FROM _jobs');
    await client.query('VACUUM (ANALYZE) _jobs');
    await client.query(`PREPARE ${name} AS ${text}`);
    await listScans(client, name, text);
    await client.query(`
      INSERT INTO _jobs (id, topic, payload) SELECT gen_random_uuid(), 'work', '1' FROM generate_series(1, ${ROWS})`);
    return (await listScans(client, name, text)).map(({ node }) => node);
  }

  it.each([...PREPARED_NAMES].map(([text, name]) => ({ text, name })))(
    'look up rows after the table has grown: $name',
    async ({ text, name }) => {
      expect(await listScansOfOldPlan(name, text)).toEqual([]);
    },
  );

  it.each([
    ['compares the id with a plain =', SETTLE, SETTLE.replaceAll('j.id = ANY (ARRAY[o.id])', 'j.id = o.id')],
    [
      'exposes the ids to the planner',
      COMPLETE,
      COMPLETE.replace('coalesce(j.id = o.id AND', 'j.id = o.id AND coalesce('),
    ],
  ])('would read the table for a statement that %s', async (_what, current, naive) => {
    expect(naive).not.toBe(current);
    expect(await listScansOfOldPlan('careless', naive)).toContain('Index Scan');
    await client.query('DEALLOCATE careless');
  });
});
