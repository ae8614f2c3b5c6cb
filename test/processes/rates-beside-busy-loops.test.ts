import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { until } from '../support/wait.js';
import { useBuiltPackage } from './support/built-package.js';
import { killPrograms, Program } from './support/program.js';
import type { QueueDatabase } from './support/queue-database.js';
import { newestDatabases } from './support/queue-database.js';

const LIMIT = 10;
const PER_MS = 1_000;
const JOBS = 40;
const LOOPS = 6;
const TIMEOUT_MS = 120_000;

useBuiltPackage();

describe.each(newestDatabases)('the rate of a topic beside busy loops on $name', ({ create }) => {
  let database: QueueDatabase;
  let loops: ChildProcess[] = [];

  beforeEach(async () => {
    database = await create();
    await database.engine.limits.set('plain', { rate: { limit: LIMIT, per: PER_MS } });
  });

  afterEach(async () => {
    loops.splice(0).forEach((loop) => loop.kill('SIGKILL'));
    await killPrograms();
    await database.close();
  });

  /** When the handlers were called, by the monotonic clock of the machine. */
  async function runAll(workers: readonly Program[]): Promise<number[]> {
    const starts = (): number[] => workers.flatMap((each) => each.all('began').map(({ atNs }) => Number(atNs) / 1e6));
    await until(() => starts().length >= JOBS, { timeoutMs: TIMEOUT_MS, message: () => `${starts().length} starts` });
    return starts().sort((a, b) => a - b);
  }

  it.each([1, 4])(
    'holds for the calls of the handler in any window, with %d workers',
    async (count) => {
      const settings = { database: database.address, options: { concurrency: 20 } };
      const workers = await Promise.all(Array.from({ length: count }, () => Program.start('worker', settings)));
      loops = Array.from({ length: LOOPS }, () => spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' }));
      await database.engine.enqueueMany(
        Array.from({ length: JOBS }, () => ({ topic: 'plain', payload: { reports: true } })),
      );
      const startsMs = await runAll(workers);
      const widthsMs = startsMs.slice(LIMIT).map((ms, index) => ms - startsMs[index]!);
      expect(Math.min(...widthsMs)).toBeGreaterThanOrEqual(PER_MS);
    },
    2 * TIMEOUT_MS,
  );
});
