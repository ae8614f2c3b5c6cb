/** @npm-test postgres-15 */

import type { Client } from 'pg';
import { CLAIM, SCAN } from '../../../lib/store/jobs/claim.postgres.js';
import { EXPIRE, RESCUE } from '../../../lib/store/jobs/maintenance.postgres.js';
import { WAITING_TOPICS } from '../../../lib/store/reports/reports.postgres.js';
import { postgresVersions } from '../../support/databases.js';
import { isMatrix } from '../../support/tier.js';
import type { Filling } from './fillings.js';
import { CLAIM_LIMIT, fillings, gapsOf, laneJson, startJson } from './fillings.js';
import type { Execution, PlanMode } from './plan.js';
import { explain } from './plan.js';
import { openPlanTable } from './plan-table.js';

/**
 * One table holds all fillings, which keeps the test short. With JOBS_TEST_ROWS each filling gets
 * its own table with that many rows: `JOBS_TEST_ROWS=1000000 npx jest test/conformance/plans/claim-plans`.
 */
const ROWS_EACH = Number(process.env.JOBS_TEST_ROWS ?? 0);
const ROWS_TOGETHER = isMatrix ? 1_000_000 : 100_000;
const FILL_TIMEOUT_MS = 300_000;

const BUFFERS_PER_LANE = 5;
const BUFFERS_PER_CLAIM = 25;
/** Pages that every statement reads once: the root of each index, the free space map. */
const BUFFERS_ONCE = 25;

const tables: { title: string; held: readonly Filling[]; rows: number }[] = ROWS_EACH
  ? fillings.map((filling) => ({ title: `${ROWS_EACH} rows, ${filling.title}`, held: [filling], rows: ROWS_EACH }))
  : [{ title: `${ROWS_TOGETHER} rows of all fillings`, held: fillings, rows: ROWS_TOGETHER / fillings.length }];

const modes: PlanMode[] = ['custom', 'generic'];

describe.each(postgresVersions())('plans of PostgreSQL %s', (version) => {
  describe.each(tables)('in $title', ({ held, rows }) => {
    let drop: () => Promise<void>;
    let client: Client;

    beforeAll(async () => {
      ({ client, drop } = await openPlanTable(version));
      for (const [index, filling] of held.entries()) {
        await client.query(filling.sql(rows, index * rows * 2));
      }
    }, FILL_TIMEOUT_MS);

    afterAll(() => drop());

    const cases = held.flatMap((filling) => modes.map((mode) => ({ ...filling, mode })));

    const claim = (filling: Filling, mode: PlanMode): Promise<Execution> =>
      explain(client, mode, {
        sql: CLAIM,
        types: 'jsonb, int, text, float8',
        values: [laneJson(filling), CLAIM_LIMIT, 'worker', 30_000],
      });

    const scan = (filling: Filling, mode: PlanMode): Promise<Execution> =>
      explain(client, mode, {
        sql: SCAN,
        types: 'jsonb, jsonb',
        values: [JSON.stringify(gapsOf(filling.lanes)), startJson(filling)],
      });

    /** A naive claim. */
    const CARELESS_CLAIM = `
      UPDATE _jobs SET attempt = attempt + 1 WHERE id IN (
        SELECT id FROM _jobs WHERE status = 'pending' AND run_at <= statement_timestamp()
          AND topic IN (SELECT topic FROM jsonb_to_recordset($1::jsonb) AS l(topic text))
        ORDER BY priority, run_at LIMIT ${CLAIM_LIMIT} FOR UPDATE SKIP LOCKED)`;

    /** Expects the plan to read only the indexes of waiting jobs and the one of paused and limited topics, this often. */
    function expectIndexed({ nodes }: Execution, waiting: number, topics: number, keyed = 0): void {
      expect(nodes.filter((node) => /Seq Scan|Sort|Bitmap/.test(node))).toEqual([]);
      const indexes = nodes.flatMap((node) => /^Index (?:Only )?Scan (\w+)$/.exec(node)?.[1] ?? []);
      expect(indexes.sort()).toEqual([
        ...Array.from({ length: keyed }, () => '_jobs_keyed'),
        ...Array.from({ length: waiting }, () => '_jobs_pending'),
        ...Array.from({ length: topics }, () => '_jobs_topics_pkey'),
      ]);
    }

    function define(): void {
      it.each(cases)('a claim reads one index only: $title ($mode plan)', async ({ mode, ...filling }) => {
        const { lanes, claimable } = filling;
        const execution = await claim(filling, mode);
        report(filling, `claim, ${mode}`, execution);
        expectIndexed(execution, 1, 1);
        expect(execution.rows).toBe(claimable);
        expect(execution.buffers).toBeLessThanOrEqual(
          BUFFERS_ONCE + BUFFERS_PER_LANE * lanes.length + BUFFERS_PER_CLAIM * claimable,
        );
      });

      it.each(cases)('a scan reads one row of each lane: $title ($mode plan)', async ({ mode, ...filling }) => {
        const execution = await scan(filling, mode);
        report(filling, `scan, ${mode}`, execution);
        // One scan to the first priority of a gap, one from each priority to the next, one for each known lane. Of the keyed jobs
        // the first two, one for a due job and one for a later one.
        expectIndexed(execution, 3, 3, 4);
        const looks = gapsOf(filling.lanes).length + 2 * filling.lanes.length;
        expect(execution.buffers).toBeLessThanOrEqual(BUFFERS_ONCE + BUFFERS_PER_LANE * looks);
      });
    }

    it.each(modes)('a rescue reads expired leases only (%s plan)', async (mode) => {
      const execution = await explain(client, mode, {
        sql: RESCUE,
        types: 'int, timestamptz',
        values: [500, '-infinity'],
      });
      expect(execution.nodes.filter((node) => /Seq Scan|Sort|Bitmap/.test(node))).toEqual([]);
      expect(execution.nodes).toContainEqual('Index Scan _jobs_processing');
      expect(execution.nodes).toContainEqual(expect.stringMatching(/^Index (Only )?Scan _jobs_expiring$/));
      expect(execution.buffers).toBeLessThanOrEqual(BUFFERS_ONCE);
    });

    it.each(modes)('an expiry reads expired jobs only (%s plan)', async (mode) => {
      const execution = await explain(client, mode, {
        sql: EXPIRE,
        types: 'int, timestamptz',
        values: [500, '-infinity'],
      });
      expect(execution.nodes.filter((node) => /Seq Scan|Sort|Bitmap/.test(node))).toEqual([]);
      expect(execution.nodes).toContainEqual('Index Scan _jobs_expiring');
      expect(execution.buffers).toBeLessThanOrEqual(BUFFERS_ONCE);
    });

    it('the waiting topics are found by a loose index scan', async () => {
      const execution = await explain(client, 'custom', { sql: WAITING_TOPICS, types: '', values: [] });
      expectIndexed(execution, 2, 0, 2);
      expect(execution.rows).toBeGreaterThan(0);
      expect(execution.buffers).toBeLessThanOrEqual(BUFFERS_ONCE + BUFFERS_PER_LANE * execution.rows);
    });

    describe('without statistics', () => {
      define();
    });

    describe('with fresh statistics', () => {
      beforeAll(() => client.query('ANALYZE _jobs'), FILL_TIMEOUT_MS);
      define();

      it.each(held)('this test fails for a naive claim: $title', async (filling) => {
        const execution = await explain(client, 'custom', {
          sql: CARELESS_CLAIM,
          types: 'jsonb',
          values: [laneJson(filling)],
        });
        report(filling, 'careless claim', execution);
        expect(() => expectIndexed(execution, 1, 0)).toThrow();
      });
    });
  });
});

/** Prints measurements when JOBS_TEST_ROWS is set. */
function report(filling: Filling, what: string, { rows, buffers, ms, nodes }: Execution): void {
  if (ROWS_EACH) {
    console.log(`${filling.title}: ${what}: ${rows} rows, ${buffers} buffers, ${ms} ms, ${nodes.join(' > ')}`);
  }
}
