import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { jobsMigrations } from 'nestjs-jobs';
import type { EmptyDatabase } from '../../support/stores.js';
import { storeKinds } from '../../support/stores.js';
import { prepareWorkingTree } from '../../support/working-tree.js';

const PROCESSES = 3;

/** A process that opens a store when the others are ready. */
interface Starter {
  readonly ready: Promise<unknown>;
  /** Resolves to its exit code and its stderr. */
  readonly end: Promise<string>;
  readonly go: () => void;
}

function startProcess(options: string): Starter {
  const tests = join(prepareWorkingTree('sources'), 'test');
  const execArgv = ['-r', join(tests, 'processes/support/register-typescript.cjs')];
  const child = fork(join(tests, 'conformance/programs/open-store.ts'), [options], {
    execArgv,
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  const complaints: string[] = [];
  child.stderr!.on('data', (text) => complaints.push(String(text)));
  const end = once(child, 'close').then(([code]) => `exit ${code as number}: ${complaints.join('')}`);
  return {
    end,
    ready: Promise.race([once(child, 'message'), end]),
    go: () => child.connected && child.send('go'),
  };
}

describe.each(storeKinds().filter(({ canHaveTwoConnections }) => canHaveTwoConnections))(
  'processes that start together on $label',
  (kind) => {
    let database: EmptyDatabase;

    beforeEach(async () => {
      database = await kind.createDatabase();
    });
    afterEach(() => database.remove());

    it('migrate a fresh database once, and all find its tables', async () => {
      const app = database.app();
      const { type, ...where } = app.options as { type: string; url?: string; database?: string };
      const options = JSON.stringify({ type, url: where.url, database: where.database });
      const processes = Array.from({ length: PROCESSES }, () => startProcess(options));
      await Promise.all(processes.map(({ ready }) => ready));
      processes.forEach(({ go }) => go());
      expect(await Promise.all(processes.map(({ end }) => end))).toEqual(processes.map(() => 'exit 0: '));

      await app.initialize();
      const recorded = await app.query<{ name: string }[]>('SELECT name FROM _jobs_migrations');
      expect(recorded.map(({ name }) => name)).toEqual(jobsMigrations.map(({ name }) => name));
      expect(await app.query('SELECT * FROM _jobs')).toEqual([]);
      await app.destroy();
    });
  },
);
