import type { Client } from 'pg';
import { readSchedule } from '../../../lib/core/schedule.js';
import { FIRE_TICKS } from '../../../lib/store/schedules/schedule.postgres.js';
import * as sqlite from '../../../lib/store/schedules/schedule.sqlite.js';
import { postgresVersions } from '../../support/databases.js';
import { storeKinds, useStore } from '../../support/stores.js';
import type { PlanMode } from './plan.js';
import { explain } from './plan.js';
import { openQueueTable } from './plan-table.js';

const JOBS = 50_000;
const SCHEDULES = 1_000;
/** Of each fired schedule: its row and its index, the last job, and the insert into the indexes of jobs. */
const BUFFERS_PER_SCHEDULE = 40;

const definition = JSON.stringify(readSchedule({ every: '1h' }, { topic: 'work', overlap: 'skip' }));

describe.each(postgresVersions())('the plan that fires schedules on PostgreSQL %s', (version) => {
  let drop: () => Promise<void>;
  let client: Client;
  let firings: string;

  beforeAll(async () => {
    ({ client, drop } = await openQueueTable(version));
    await client.query(`
      INSERT INTO _jobs (id, topic, payload, status, finished)
      SELECT ('01900000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'work', '1', 'completed', statement_timestamp()
      FROM generate_series(0, ${JOBS - 1}) n`);
    await client.query(
      `INSERT INTO _jobs_schedules (name, definition, source, next_tick, last_job_id)
      SELECT 's' || n, $1::jsonb, 'api', date_trunc('hour', now()), ('01900000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid
      FROM generate_series(0, ${SCHEDULES - 1}) n`,
      [definition],
    );
    const { rows } = await client.query<{ firings: string }>(`
      SELECT jsonb_agg(jsonb_build_object('name', name, 'revision', revision, 'expected', next_tick,
        'next', next_tick + interval '1 hour', 'tick', next_tick, 'last_id', gen_random_uuid(), 'jobs',
        jsonb_build_array(jsonb_build_object('ord', 0, 'id', gen_random_uuid(), 'topic', 'work', 'payload', 1,
          'run_at', next_tick, 'delay_ms', 0, 'max_retries', 3, 'priority', 0)))) AS firings FROM _jobs_schedules`);
    firings = JSON.stringify(rows[0]!.firings);
  });

  afterAll(() => drop());

  const plan = (mode: PlanMode, values: string): ReturnType<typeof explain> =>
    explain(client, mode, { sql: FIRE_TICKS, types: 'text', values: [values] });

  describe.each(['before', 'after'])('%s an ANALYZE', (moment) => {
    if (moment === 'after') {
      beforeAll(() => client.query('ANALYZE'));
    }

    it.each<PlanMode>(['custom', 'generic'])(
      'looks up the last job of each schedule by its id (%s plan)',
      async (mode) => {
        const { rows, nodes, buffers } = await plan(mode, firings);
        expect(rows).toBe(2 * SCHEDULES);
        expect(nodes.filter((node) => / _jobs(_pkey|_pending|_listed|_processing)?$/.test(node))).toEqual(
          expect.arrayContaining(['Index Scan _jobs_pkey']),
        );
        expect(nodes).not.toContainEqual(expect.stringMatching(/Seq Scan _jobs$/));
        expect(buffers).toBeLessThan(SCHEDULES * BUFFERS_PER_SCHEDULE);
      },
    );
  });
});

describe.each(storeKinds().filter(({ locksRows, isMain }) => !locksRows && isMain))(
  'the plans of schedules on $label',
  (kind) => {
    const fixture = useStore(kind);

    it.each(['MOVE_CURSORS', 'BUSY_SCHEDULES', 'CHANGE_SCHEDULE'] as const)(
      'find schedules by name, and jobs by id: %s',
      async (name) => {
        const values: unknown[] = [];
        const text = sqlite[name].replace(/\?\d+/g, () => (values.push('[]'), '?'));
        const rows = await fixture.app.query<{ detail: string }[]>(`EXPLAIN QUERY PLAN ${text}`, values);
        const details = rows.map(({ detail }) => detail);
        expect(details).toContainEqual(expect.stringMatching(/^SEARCH (s|_jobs_schedules) .*\(name=\?\)/));
        expect(details).not.toContainEqual(expect.stringMatching(/^SCAN (s|j|_jobs\w*)\b/));
      },
    );
  },
);
