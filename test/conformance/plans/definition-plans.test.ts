import type { Client } from 'pg';
import type { Definition } from '../../../lib/store/definitions/definition-records.js';
import { toRefsJson } from '../../../lib/store/definitions/definition-table.js';
import { DEFINITION_STATE } from '../../../lib/store/definitions/definition.postgres.js';
import * as sqlite from '../../../lib/store/definitions/definition.sqlite.js';
import { postgresVersions } from '../../support/databases.js';
import { toDefinitions } from '../../support/declared.js';
import { storeKinds, useStore } from '../../support/stores.js';
import type { PlanMode } from './plan.js';
import { explain } from './plan.js';
import { openQueueTable } from './plan-table.js';

const TOPICS = 1_000;
/** Rows that are read in vain for each definition. A comparison of each one with each other would read thousands. */
const IN_VAIN_MAX = 10;

const definitionsOf = (version: number): Definition[] =>
  Array.from({ length: TOPICS }, (_, index) => `topic-${index}`).flatMap((topic) =>
    toDefinitions({ topic, limits: { concurrency: version }, retention: { completed: version } }),
  );

describe.each(postgresVersions())('the plan that compares definitions on PostgreSQL %s', (version) => {
  let drop: () => Promise<void>;
  let client: Client;

  beforeAll(async () => {
    ({ client, drop } = await openQueueTable(version));
    for (const each of [1, 2]) {
      await client.query(
        `INSERT INTO _jobs_definitions (kind, name, hash, definition, first_seen, declared)
        SELECT g.kind, g.name, g.hash, '{}', now(), now() FROM jsonb_to_recordset($1) AS g(kind text, name text, hash text)`,
        [toRefsJson(definitionsOf(each))],
      );
    }
  });

  afterAll(() => drop());

  it.each<PlanMode>(['custom', 'generic'])(
    'compares each definition with those of its name only (%s plan)',
    async (mode) => {
      const values = [toRefsJson(definitionsOf(1)), 'true'];
      const statement = { sql: DEFINITION_STATE, types: 'text, boolean', values };
      const { inVain } = await explain(client, mode, statement);
      expect(inVain).toBeLessThan(2 * 2 * TOPICS * IN_VAIN_MAX);
    },
  );
});

describe.each(storeKinds().filter(({ locksRows, isMain }) => !locksRows && isMain))(
  'the plans of definitions on $label',
  (kind) => {
    const fixture = useStore(kind);

    it('look up the definitions of a process by their key, and newer ones by their name', async () => {
      const values: unknown[] = [];
      const text = sqlite.DEFINITION_STATE.replace(/\?\d+/g, () => (values.push('[]'), '?'));
      const rows = await fixture.app.query<{ detail: string }[]>(`EXPLAIN QUERY PLAN ${text}`, values);
      const details = rows.map(({ detail }) => detail);
      expect(details).toContainEqual(
        expect.stringMatching(/^SEARCH d USING PRIMARY KEY \(kind=\? AND name=\? AND hash=\?\)/),
      );
      expect(details).toContainEqual(expect.stringMatching(/^SEARCH n .*PRIMARY KEY \(kind=\? AND name=\?/));
      expect(details).not.toContainEqual(expect.stringMatching(/^SCAN (n|s)\b/));
    });
  },
);
