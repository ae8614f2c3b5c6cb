import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { EmptyDatabase } from '../../support/stores.js';
import { storeKinds } from '../../support/stores.js';
import { workingTree } from '../../support/working-tree.js';
import type { HeapGrowth } from '../programs/heap-growth.js';

/*
 * What outlives a job: see docs/adr/0020-short-lives.md. Each job takes some kilobytes for a moment. A mistake of that kind
 * makes a good part of them stay until the next full collection; without one it is a few bytes.
 */

const BYTES_MAX = 130;

/** Few collections of what is young, always after as much; and none of what is old, which would hide how it has grown. */
const FLAGS = ['--min-semi-space-size=16', '--max-semi-space-size=16', '--initial-old-space-size=2000'];

async function growthOn(options: string): Promise<HeapGrowth> {
  const tests = join(workingTree('sources'), 'test');
  const child = fork(join(tests, 'conformance/programs/heap-growth.ts'), [options], {
    execArgv: [...FLAGS, '-r', join(tests, 'processes/support/register-typescript.cjs')],
    timeout: 50_000,
  });
  const reports: HeapGrowth[] = [];
  child.on('message', (growth) => reports.push(growth as HeapGrowth));
  expect(await once(child, 'exit')).toEqual([0, null]);
  return reports[0]!;
}

describe.each(storeKinds().filter(({ canHaveTwoConnections }) => canHaveTwoConnections))(
  'the old generation on $label',
  (kind) => {
    let database: EmptyDatabase;

    beforeEach(async () => {
      database = await kind.createDatabase();
    });
    afterEach(() => database.remove());

    it('does not grow with the number of jobs', async () => {
      const { type, ...where } = database.app().options as { type: string; url?: string; database?: string };
      const growth = await growthOn(JSON.stringify({ type, url: where.url, database: where.database }));
      expect(growth.fullCollections).toBe(0);
      expect(growth.run).toBeLessThan(BYTES_MAX);
      expect(growth.enqueued).toBeLessThan(BYTES_MAX);
    }, 60_000);
  },
);
