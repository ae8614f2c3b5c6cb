import type { Client } from 'pg';
import { FINISH_GROUPS, LIST_UNFINISHED_GROUPS } from '../../../lib/store/links/group.postgres.js';
import {
  CLOSE_LINKS,
  CLOSE_LINKS_OF_COMPLETED,
  LOCK_CHILDREN,
  LOCK_DESCENDANTS,
  RELEASE_CHILDREN,
  WATCH_PARENTS,
} from '../../../lib/store/links/link.postgres.js';
import { postgresVersions } from '../../support/databases.js';
import { explain } from './plan.js';
import { openPlanTable } from './plan-table.js';

const ROWS = 10_000;
/** The maximum size of a batch. */
const ENDED = 1_000;
const GROUP = '02900000-0000-7000-8000-000000000000';

const toId = (n: number, version = 1): string => `0${version}900000-0000-7000-8000-${String(n).padStart(12, '0')}`;
const ids = Array.from({ length: ENDED }, (_, n) => toId(n));

/** The end of a full batch of members of one large group. */
const statements = [
  { name: 'WATCH_PARENTS', sql: WATCH_PARENTS, value: ids },
  { name: 'CLOSE_LINKS', sql: CLOSE_LINKS, value: ids, types: ['int', 'text'], values: [2 * ENDED, 'failed'] },
  { name: 'CLOSE_LINKS_OF_COMPLETED', sql: CLOSE_LINKS_OF_COMPLETED, value: ids, types: ['int'], values: [2 * ENDED] },
  { name: 'LOCK_CHILDREN', sql: LOCK_CHILDREN, value: ids },
  { name: 'LOCK_DESCENDANTS', sql: LOCK_DESCENDANTS, value: ids.map((id) => ({ id, error: 'a parent failed' })) },
  { name: 'RELEASE_CHILDREN', sql: RELEASE_CHILDREN, value: ids.map((id) => ({ id, error: null })) },
  { name: 'FINISH_GROUPS', sql: FINISH_GROUPS, value: [GROUP] },
];

describe.each(postgresVersions())('plans for links on PostgreSQL %s', (version) => {
  let drop: () => Promise<void>;
  let client: Client;

  beforeAll(async () => {
    ({ client, drop } = await openPlanTable(version));
    const id = `('01900000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid`;
    const numbers = `generate_series(0, ${ROWS - 1}) n`;
    await client.query(`INSERT INTO _jobs_groups (id) VALUES ('${GROUP}')`);
    await client.query(`
      INSERT INTO _jobs (id, topic, payload, run_at, watched) SELECT ${id}, 'work', '1', '9999-12-31 00:00:00Z', 1 FROM ${numbers}`);
    await client.query(`
      INSERT INTO _jobs_links (parent_id, child_id, mode, position) SELECT ${id}, '${GROUP}', 'member', n FROM ${numbers}`);
  });

  afterAll(() => drop());

  const inVain = async ({ sql, value, types = [], values = [] }: (typeof statements)[number]): Promise<number> => {
    const statement = { sql, types: ['jsonb', ...types].join(), values: [JSON.stringify(value), ...values] };
    return (await explain(client, 'custom', statement)).inVain;
  };

  it.each(statements)('$name reads no other row in a table without statistics', async (statement) => {
    expect(await inVain(statement)).toBeLessThanOrEqual(2 * ENDED);
  });

  it.each(statements)('$name reads no other row when no link was open at the last ANALYZE', async (statement) => {
    await client.query(`UPDATE _jobs_links SET outcome = 'completed'`);
    await client.query('ANALYZE _jobs_links');
    await client.query(`UPDATE _jobs_links SET outcome = NULL`);
    expect(await inVain(statement)).toBeLessThanOrEqual(2 * ENDED);
  });

  it('LOCK_DESCENDANTS visits each job of a dense graph once', async () => {
    // Each job waits for all jobs before it.
    const dense = `('05900000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid`;
    await client.query(`
      INSERT INTO _jobs (id, topic, payload, run_at, watched)
      SELECT ${dense}, 'work', '1', '9999-12-31 00:00:00Z', 1 FROM generate_series(0, 99) n`);
    await client.query(`
      INSERT INTO _jobs_links (parent_id, child_id, mode, position)
      SELECT ${dense}, ('05900000-0000-7000-8000-' || lpad(c::text, 12, '0'))::uuid, 'cancel', n
      FROM generate_series(0, 99) n, generate_series(0, 99) c WHERE c > n`);
    const value = [{ id: toId(0, 5), error: 'a parent failed' }];
    const { buffers } = await explain(client, 'custom', {
      sql: LOCK_DESCENDANTS,
      types: 'jsonb',
      values: [JSON.stringify(value)],
    });
    expect(buffers).toBeLessThan(100 * 50);
  });

  it('LIST_UNFINISHED_GROUPS reads no finished group', async () => {
    await client.query(`
      INSERT INTO _jobs_groups (id, finished) SELECT ('03900000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, now()
      FROM generate_series(1, ${ROWS}) n`);
    await client.query('ANALYZE _jobs_groups');
    const { nodes } = await explain(client, 'generic', {
      sql: LIST_UNFINISHED_GROUPS,
      types: 'uuid, int',
      values: ['04900000-0000-7000-8000-000000000000', 20],
    });
    expect(nodes).toContainEqual(expect.stringMatching(/Scan (Backward )?_jobs_groups_unfinished/));
  });
});
