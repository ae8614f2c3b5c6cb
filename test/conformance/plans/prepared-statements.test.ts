/** @npm-test postgres-15 */

import { randomUUID } from 'node:crypto';
import type { Client } from 'pg';
import { PREPARED_NAMES } from '../../../lib/store/postgres/session-settings.js';
import { SET_PLANNER } from '../../../lib/store/postgres/session.postgres.js';
import { postgresVersions } from '../../support/databases.js';
import { openQueueTable } from './plan-table.js';

/** PostgreSQL makes this many custom plans before it may use a generic one. */
const PLANS_BY_VALUE = 5;

const ROWS = 5_000;

const lanes = JSON.stringify([{ topic: 'work', priority: 0, lower_bound: '-infinity', lane_limit: 1 }]);
const gaps = JSON.stringify([{ topic: 'work', after: -2_000, before: 2_000 }]);

/** Parameters of each statement for a job with this id. */
const usualParameters: Record<string, (id: string) => unknown[]> = {
  insert_plain_job: (id) => [id, null, 'work', '1', null, 0, 3, 0, null, null, null],
  insert_alike_jobs: (id) => [`{${id}}`, null, 'work', '[1]', null, 0, 3, 0, null, null, null],
  insert_plain_jobs: (id) => [`{${id}}`, null, ['work'], '[1]', null, '{0}', '{3}', '{0}', null, null, null],
  insert_jobs: (id) => [
    JSON.stringify([{ ord: 0, id, topic: 'work', payload: 1, delay_ms: 0, max_retries: 3, priority: 0 }]),
    null,
    null,
  ],
  claim: () => [lanes, 1, 'worker', 30_000],
  claim_as_text: () => [lanes, 1, 'worker', 30_000],
  scan: () => [gaps, lanes],
  mark_keyed_due: () => ['work', '{0}', 100],
  lock_topic: () => ['1', 1],
  claim_limited: () => ['work', '1', 'worker', 30_000, '{0}', 1, 68, 100, true],
  claim_limited_as_text: () => ['work', '1', 'worker', 30_000, '{0}', 1, 68, 100, true],
  mark_started_by_row_ref: (id) => [`{${id}}`, '{1}', '{"(0,1)"}'],
  mark_started: (id) => [JSON.stringify([{ id, attempt: 1 }])],
  renew: (id) => [JSON.stringify([{ id, attempt: 1 }]), 30_000],
  complete: (id) => [`{${id}}`, '{1}', '{0.5}', '{0.5}', null, '{"(0,1)"}'],
  complete_one: (id) => [id, 1, 0.5, 0.5, null, '(0,1)'],
  complete_and_delete: (id) => [`{${id}}`, '{1}', '{0.5}', '{0.5}', null, '{"(0,1)"}'],
  complete_and_delete_one: (id) => [id, 1, 0.5, 0.5, null, '(0,1)'],
  settle: (id) => [JSON.stringify([{ id, attempt: 1, kind: 'retry', delay_ms: 100, message: 'failed' }])],
  notify: () => ['work', ''],
};

/*
 * Planning costs as much as a small statement.
 */
describe.each(postgresVersions())('prepared statements on PostgreSQL %s', (version) => {
  let drop: () => Promise<void>;
  let client: Client;

  beforeAll(async () => {
    ({ client, drop } = await openQueueTable(version));
    await use();
    await client.query(`
      INSERT INTO _jobs (id, topic, payload)
      SELECT gen_random_uuid(), 'work', '1' FROM generate_series(1, ${ROWS}); ANALYZE _jobs`);
  });

  afterAll(() => drop());

  /** Runs each statement more often than PostgreSQL makes custom plans at least. */
  async function use(): Promise<void> {
    for (const [text, name] of PREPARED_NAMES) {
      for (let round = 0; round <= PLANS_BY_VALUE; round += 1) {
        await client.query({ name, text, values: usualParameters[name.replace('nestjs_jobs_', '')]!(randomUUID()) });
      }
    }
  }

  /** Names of the statements with custom plans. */
  async function listCustomPlans(): Promise<string[]> {
    const { rows } = await client.query<{ name: string; plans: string }>(
      'SELECT name, custom_plans AS plans FROM pg_prepared_statements ORDER BY name',
    );
    expect(rows.map(({ name }) => name)).toEqual([...PREPARED_NAMES.values()].sort());
    return rows.filter(({ plans }) => Number(plans) > 0).map(({ name }) => name);
  }

  it('use a generic plan, also after the table has grown', async () => {
    expect(await listCustomPlans()).toEqual([]);
    await use();
    expect(await listCustomPlans()).toEqual([]);
  });

  it('would use custom plans with the default plan_cache_mode', async () => {
    await client.query('SET plan_cache_mode = auto');
    await use();
    expect(await listCustomPlans()).toContain('nestjs_jobs_claim');
    await client.query(SET_PLANNER);
  });
});
