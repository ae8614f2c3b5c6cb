/**
 * @matrix all
 * @never typeorm-0.3
 */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { EmptyDatabase } from '../../support/stores.js';
import { storeKinds } from '../../support/stores.js';
import { prepareWorkingTree } from '../../support/working-tree.js';
import type { HeapGrowth } from '../programs/heap-growth.js';

/*
 * See docs/adr/0020-short-lived-objects.md. Each job allocates some kilobytes. When objects survive by mistake,
 * a large part of them stays until the next full collection; otherwise it is a few bytes.
 */

const BYTES_MAX = 130;
const TRIES_MAX = 4;

/** Few collections of the young generation, of a fixed size, and none of the old one, which would hide its growth. */
const FLAGS = ['--min-semi-space-size=16', '--max-semi-space-size=16', '--initial-old-space-size=2000'];

async function measureGrowth(options: string): Promise<HeapGrowth> {
  const tests = join(prepareWorkingTree('sources'), 'test');
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
  'the old generation of the heap on $label',
  (kind) => {
    let database: EmptyDatabase;

    beforeEach(async () => {
      database = await kind.createDatabase();
    });
    afterEach(() => database.remove());

    it('does not grow with the number of jobs', async () => {
      const { type, ...where } = database.app().options as { type: string; url?: string; database?: string };
      const options = JSON.stringify({ type, url: where.url, database: where.database });
      let growth = await measureGrowth(options);
      // A collection at the wrong moment keeps what is in use just then, some megabytes once. A mistake shows in each measurement.
      for (let tries = 1; tries < TRIES_MAX && Math.max(growth.run, growth.enqueued) >= BYTES_MAX; tries += 1) {
        growth = await measureGrowth(options);
      }
      expect(growth.fullCollections).toBe(0);
      expect(growth.run).toBeLessThan(BYTES_MAX);
      expect(growth.enqueued).toBeLessThan(BYTES_MAX);
    }, 180_000);
  },
);
