/**
 * @npm-test postgres-15
 * @slow
 */

import type { Client } from 'pg';
import { HAND_OVER_MS } from '../../../lib/store/limits/limited-claim.js';
import { CLAIM_LIMITED, LOCK_TOPIC, MARK_KEYED_DUE } from '../../../lib/store/limits/limited-claim.postgres.js';
import { postgresVersions } from '../../support/databases.js';
import { isMatrix } from '../../support/tier.js';
import type { Execution } from './plan.js';
import { execute, explain } from './plan.js';
import { storeKinds, useStore } from '../../support/stores.js';
import { openQueueTable } from './plan-table.js';

/** Rows of each filling. All are in one table: in the matrix it has a million rows. */
const ROWS = Number(process.env.JOBS_TEST_ROWS ?? (isMatrix ? 200_000 : 20_000));
const FILL_TIMEOUT_MS = 300_000;
const SLOTS = 100;
const STEPS = 4 * SLOTS + 64;
const BUFFERS_PER_JOB = 40;
/** A step over a full key counts its running jobs. */
const BUFFERS_PER_STEP = 12;
const BUFFERS_ONCE = 60;
/** A claim takes about 10 ms; the machine may be busy. */
const MS_MAX = 2_000;

interface Filling {
  readonly topic: string;
  readonly title: string;
  /** SQL of the columns; `n` counts the rows from 0. */
  readonly key: string;
  readonly runAt: string;
  readonly limits: string;
  readonly claimable: number;
  /** How many of the claim's steps find a full key, at most. */
  readonly fullSteps?: number;
  /** Keys of which jobs run, up to their limit. */
  readonly running?: string;
}

const due = `statement_timestamp() - n * interval '1 ms'`;
const keys = Math.min(10_000, ROWS / 4);

const fillings: readonly Filling[] = [
  {
    topic: 'keys',
    title: `${keys} keys`,
    key: `'k' || (n % ${keys})`,
    runAt: due,
    limits: '5000, 2',
    claimable: SLOTS,
  },
  {
    topic: 'giant',
    title: 'one giant tenant and many small ones',
    key: `CASE WHEN n % 10 < 9 THEN 'giant' ELSE 'k' || (n % ${keys}) END`,
    runAt: due,
    limits: '5000, 2',
    claimable: SLOTS,
  },
  {
    topic: 'later',
    title: 'keyed jobs of the future',
    key: `'k' || (n % ${keys})`,
    runAt: `statement_timestamp() + interval '1 day' + n * interval '1 ms'`,
    limits: '5000, 2',
    claimable: 0,
  },
  {
    topic: 'full',
    title: 'all keys full but one',
    key: `'k' || lpad((n % 300)::text, 4, '0')`,
    runAt: due,
    limits: '5000, 1',
    claimable: 1,
    fullSteps: STEPS,
    running: `SELECT 'k' || lpad(g::text, 4, '0') FROM generate_series(0, 298) g`,
  },
  { topic: 'unkeyed', title: 'jobs without a key', key: 'NULL', runAt: due, limits: '5000, NULL', claimable: SLOTS },
];

const moments = ['without statistics', 'with fresh statistics'];
const LOCK = LOCK_TOPIC.replace('$1', `'1'`).replace('$2', '1');

describe.each(postgresVersions())('the claim of limited topics on PostgreSQL %s', (version) => {
  let drop: () => Promise<void>;
  let client: Client;

  beforeAll(async () => {
    ({ client, drop } = await openQueueTable(version));
    await client.query('SET plan_cache_mode = force_generic_plan');
    await client.query(`PREPARE early (text, text, text, float8, text, int, int, int, boolean) AS ${CLAIM_LIMITED}`);
    await client.query(`EXPLAIN EXECUTE early ('keys', '1', 'w', 1000, '{0}', 100, 464, 100, true)`);
    for (const [index, { topic, key, runAt, limits, running }] of fillings.entries()) {
      const id = (n: string): string => `('0190' || lpad(to_hex(${index * 2 * ROWS} + ${n}), 28, '0'))::uuid`;
      await client.query(`
        INSERT INTO _jobs (id, topic, run_at, payload, concurrency_key, flow_key)
        SELECT ${id('n')}, '${topic}', at, '{}', key, CASE WHEN at <= statement_timestamp() THEN key END
        FROM (SELECT n, ${key} AS key, ${runAt} AS at FROM generate_series(0, ${ROWS - 1}) n) r`);
      await client.query(
        `INSERT INTO _jobs_topics (topic, is_limited, limit_total, limit_key) VALUES ('${topic}', true, ${limits})`,
      );
      if (running) {
        await client.query(`
          INSERT INTO _jobs (id, topic, status, payload, concurrency_key, flow_key, attempt, locked_by, locked_until, started)
          SELECT ${id(`${ROWS} + row_number() OVER ()`)}, '${topic}', 'processing', '{}', key, key, 1, 'w',
            statement_timestamp() + interval '1 hour', statement_timestamp()
          FROM (${running}) AS r(key)`);
      }
    }
  }, FILL_TIMEOUT_MS);

  afterAll(() => drop());

  async function claim(topic: string): Promise<Execution> {
    const values = [topic, '1', 'w', 30_000, '{0}', SLOTS, STEPS, HAND_OVER_MS, 'true'];
    const types = 'text, text, text, float8, text, int, int, int, boolean';
    return explain(client, 'generic', { sql: CLAIM_LIMITED, types, values, before: LOCK });
  }

  it.each(fillings)('with a plan made on an empty table reads a bounded number of pages: $title', async (filling) => {
    const { topic, claimable, fullSteps = 0 } = filling;
    await client.query('BEGIN');
    await client.query(LOCK);
    const { nodes, buffers } = await execute(
      client,
      `early ('${topic}', '1', 'w', 30000, '{0}', ${SLOTS}, ${STEPS}, ${HAND_OVER_MS}, true)`,
    );
    await client.query('ROLLBACK');
    expect(nodes.filter((node) => /Seq Scan _jobs$|Bitmap/.test(node))).toEqual([]);
    expect(buffers).toBeLessThanOrEqual(BUFFERS_ONCE + BUFFERS_PER_JOB * claimable + BUFFERS_PER_STEP * fullSteps);
  });

  describe.each(moments)('%s', (moment) => {
    if (moment === 'with fresh statistics') {
      beforeAll(() => client.query('ANALYZE'), FILL_TIMEOUT_MS);
    }

    it.each(fillings)('reads a bounded number of pages: $title', async ({ topic, claimable, fullSteps = 0 }) => {
      const { rows, nodes, buffers, ms } = await claim(topic);
      // The last row tells how the claim ended.
      expect(rows - 1).toBe(claimable);
      expect(nodes.filter((node) => /Seq Scan _jobs$|Bitmap/.test(node))).toEqual([]);
      expect(buffers).toBeLessThanOrEqual(BUFFERS_ONCE + BUFFERS_PER_JOB * claimable + BUFFERS_PER_STEP * fullSteps);
      expect(ms).toBeLessThan(MS_MAX);
    });

    it('marks due jobs without a walk over later ones', async () => {
      const types = 'text, text, int';
      const { nodes, buffers } = await explain(client, 'generic', {
        sql: MARK_KEYED_DUE,
        types,
        values: ['later', '{0}', 100],
      });
      expect(nodes.filter((node) => /Seq Scan _jobs$|Bitmap/.test(node))).toEqual([]);
      expect(buffers).toBeLessThanOrEqual(BUFFERS_ONCE);
    });
  });
});

const sqliteFiles = storeKinds().filter(({ label }) => label === 'a SQLite file');

describe.each(sqliteFiles)('the claim of limited topics on $label', (kind) => {
  const fixture = useStore(kind);

  async function fill({ topic, key: ofPostgres, limits, claimable, running }: Filling): Promise<void> {
    const columns = 'id, topic, run_at, payload, concurrency_key, flow_key';
    const key = ofPostgres.replace(/lpad\(\((.*?)\)::text, 4, '0'\)/, `printf('%04d', $1)`);
    const day = claimable > 0 ? '-1 day' : '+1 day';
    await fixture.sql(`
      WITH RECURSIVE g(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM g WHERE n < ${ROWS - 1})
      INSERT INTO _jobs (${columns})
      SELECT '${topic}' || n, '${topic}', strftime('%Y-%m-%d %H:%M:%f', 'now', '${day}'), '{}', ${key},
        ${claimable > 0 ? key : 'NULL'} FROM g`);
    await fixture.sql(
      `INSERT INTO _jobs_topics (topic, is_limited, limit_total, limit_key) VALUES ('${topic}', true, ${limits})`,
    );
    if (running) {
      await fixture.sql(`
        WITH RECURSIVE g(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM g WHERE n < 298)
        INSERT INTO _jobs (${columns}, status, attempt, locked_by, locked_until, started)
        SELECT 'running' || n, '${topic}', at, '{}', key, key, 'processing', 1, 'w', at, at
        FROM (SELECT n, printf('k%04d', n) AS key, strftime('%Y-%m-%d %H:%M:%f', 'now') AS at FROM g)`);
    }
  }

  it.each(fillings)(
    'takes a bounded time: $title',
    async (filling) => {
      const { topic, claimable } = filling;
      await fill(filling);
      const request = {
        from: 'topic' as const,
        topic,
        priorities: [0],
        hasKeyed: true,
        limit: SLOTS,
        leaseMs: 30_000,
        worker: 'w',
        handOverMs: 100,
      };
      const sinceMs = performance.now();
      let claimed = 0;
      let claims = 0;
      // The walk is bounded by time, so the free key among full ones may need several claims.
      for (; claimed === 0 && claims < (claimable > 0 ? 100 : 1); claims += 1) {
        claimed = (await fixture.store.claim(request)).claims.length;
      }
      // After 2 ms the walk ends, but not before 16 keys.
      expect(claimed).toBeGreaterThanOrEqual(Math.min(claimable, 16));
      expect((performance.now() - sinceMs) / claims).toBeLessThan(MS_MAX);
    },
    FILL_TIMEOUT_MS,
  );
});
