import { randomUUID } from 'node:crypto';
import type { Client } from 'pg';
import { PREPARED_NAMES } from '../../lib/store/postgres/prepared-statements.js';
import { setForSession } from '../../lib/store/postgres/session-statements.js';
import { CLAIM } from '../../lib/store/postgres/statements.js';
import { postgresVersions } from '../support/databases.js';
import { openPlanTable } from './plans/plan-table.js';

/** So often PostgreSQL plans for the values it is given, before it may keep a plan for any. */
const PLANS_BY_VALUE = 5;

const lanes = JSON.stringify([{ topic: 'work', priority: 0, lower_bound: '-infinity', lane_limit: 1 }]);
const gaps = JSON.stringify([{ topic: 'work', after: -2_000, before: 2_000 }]);

/** What the engine asks with, for a job of this id. */
const usualParameters: Record<string, (id: string) => unknown[]> = {
  insert_plain_job: (id) => [id, null, 'work', '1', null, 0, 3, 0, null, null, null],
  insert_plain_jobs: (id) => [`{${id}}`, null, ['work'], '[1]', null, '{0}', '{3}', '{0}', null, null, null],
  insert_jobs: (id) => [
    JSON.stringify([{ ord: 0, id, topic: 'work', payload: 1, delay_ms: 0, max_retries: 3, priority: 0 }]),
    null,
  ],
  claim: () => [lanes, 1, 'worker', 30_000],
  claim_as_text: () => [lanes, 1, 'worker', 30_000],
  survey: () => [gaps, lanes],
  renew: (id) => [JSON.stringify([{ id, attempt: 1 }]), 30_000],
  complete: (id) => [`{${id}}`, '{1}', '{0.5}', null, '{"(0,1)"}'],
  complete_one: (id) => [id, 1, 0.5, null, '(0,1)'],
  complete_and_remove: (id) => [`{${id}}`, '{1}', '{0.5}', null, '{"(0,1)"}'],
  complete_and_remove_one: (id) => [id, 1, 0.5, null, '(0,1)'],
  settle: (id) => [JSON.stringify([{ id, attempt: 1, kind: 'retry', delay_ms: 100, message: 'failed' }])],
  notify: () => ['work', ''],
};

/*
 * A plan costs as much as a small statement itself. It is kept when a plan that knows the values is hardly cheaper.
 */
describe.each(postgresVersions())('statements that connections prepare, on PostgreSQL %s', (version) => {
  let drop: () => Promise<void>;
  let client: Client;

  beforeAll(async () => {
    ({ client, drop } = await openPlanTable(version));
    await client.query(setForSession({ statementTimeoutMs: 30_000, lockTimeoutMs: 1_000 }));
  });

  afterAll(() => drop());

  /** Uses a statement once more than PostgreSQL plans for values at least, and tells how often it took a plan for any. */
  async function usesOfKept(name: string, text: string, valuesFor: (id: string) => unknown[]): Promise<number> {
    for (let use = 0; use <= PLANS_BY_VALUE; use += 1) {
      await client.query({ name, text, values: valuesFor(randomUUID()) });
    }
    const { rows } = await client.query<{ kept: string }>(
      'SELECT generic_plans AS kept FROM pg_prepared_statements WHERE name = $1',
      [name],
    );
    return Number(rows[0]!.kept);
  }

  it.each([...PREPARED_NAMES].map(([text, name]) => ({ text, name })))(
    'are not planned for each use: $name',
    async ({ text, name }) => {
      expect(await usesOfKept(name, text, usualParameters[name.replace('nestjs_jobs_', '')]!)).toBe(1);
    },
  );

  it('would be, if the planner knew the limit of a claim', async () => {
    const careless = CLAIM.replace('(SELECT $2::int)', '$2::int');
    expect(careless).not.toBe(CLAIM);
    expect(await usesOfKept('careless', careless, usualParameters.claim!)).toBe(0);
  });
});
