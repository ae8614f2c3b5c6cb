import type { Client } from 'pg';
import { LIST_UNFINISHED_GROUPS } from '../../../lib/store/links/group.postgres.js';
import {
  CANCEL_WAITING,
  CLEAR,
  FIND,
  FIND_DESCENDANTS,
  FIND_NEXT,
  FINISH_GROUPS,
  LOCK_CHILDREN,
  MARK_HOLDERS,
  MOVE,
  RELEASE,
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
  { name: 'FIND', sql: FIND, value: ids.map((id) => ({ id, after: toId(0, 0) })), types: ['int'], values: [2 * ENDED] },
  {
    name: 'FIND_NEXT',
    sql: FIND_NEXT,
    value: [{ child_id: GROUP, before: toId(0, 9) }],
    types: ['int'],
    values: [ENDED],
  },
  { name: 'CLEAR', sql: CLEAR, value: ids.map((id) => ({ id, version: 'completed' })) },
  { name: 'LOCK_CHILDREN', sql: LOCK_CHILDREN, value: ids },
  { name: 'MARK_HOLDERS', sql: MARK_HOLDERS, value: ids },
  { name: 'MOVE', sql: MOVE, value: ids.map((id) => ({ parent_id: id, child_id: GROUP, next_id: toId(ENDED) })) },
  { name: 'RELEASE', sql: RELEASE, value: ids.map((id) => ({ parent_id: id, child_id: id })) },
  { name: 'CANCEL_WAITING', sql: CANCEL_WAITING, value: ids.map((id) => ({ id, error: 'a parent failed' })) },
  { name: 'FINISH_GROUPS', sql: FINISH_GROUPS, value: [{ parent_id: ids[0], child_id: GROUP }] },
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

  it.each(statements)('$name reads no other row when no link had a token at the last ANALYZE', async (statement) => {
    await client.query('UPDATE _jobs_links SET holds = false');
    await client.query('ANALYZE _jobs_links');
    await client.query('UPDATE _jobs_links SET holds = true');
    expect(await inVain(statement)).toBeLessThanOrEqual(2 * ENDED);
  });

  it('FIND_DESCENDANTS visits each job of a dense graph once', async () => {
    // Each job waits for all jobs before it.
    const dense = `('05900000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid`;
    await client.query(`
      INSERT INTO _jobs (id, topic, payload, run_at, watched)
      SELECT ${dense}, 'work', '1', '9999-12-31 00:00:00Z', 1 FROM generate_series(0, 99) n`);
    await client.query(`
      INSERT INTO _jobs_links (parent_id, child_id, mode, position)
      SELECT ${dense}, ('05900000-0000-7000-8000-' || lpad(c::text, 12, '0'))::uuid, 'cancel', n
      FROM generate_series(0, 99) n, generate_series(0, 99) c WHERE c > n`);
    const value = [{ id: toId(0, 5) }];
    const { buffers } = await explain(client, 'custom', {
      sql: FIND_DESCENDANTS,
      types: 'jsonb, int',
      values: [JSON.stringify(value), 200],
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
