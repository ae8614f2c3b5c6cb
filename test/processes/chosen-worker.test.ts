import type { PostgresDatabase } from '../support/databases.js';
import { createPostgresDatabase, postgresVersions } from '../support/databases.js';
import { until } from '../support/wait.js';
import type { AppQueue } from './support/app-queue.js';
import { openAppQueue } from './support/app-queue.js';
import { useBuiltPackage } from './support/built-package.js';
import { killPrograms, Program } from './support/program.js';

const WORKERS = 3;
/** The process that does not run is chosen for a third of them. */
const JOBS = 20;

useBuiltPackage();

describe('a job on an idle queue of three processes', () => {
  let database: PostgresDatabase;
  let queue: AppQueue;
  let workers: Program[];

  beforeEach(async () => {
    database = await createPostgresDatabase(postgresVersions()[0]!);
    const { url } = database;
    queue = await openAppQueue({ type: 'postgres', url }, { role: 'producer' });
    // No poll finds a job during the test.
    const settings = { database: { type: 'postgres', url }, options: { pollInterval: '10m', lease: '5m' } } as const;
    workers = await Promise.all(Array.from({ length: WORKERS }, () => Program.start('worker', settings)));
    await until(async () => (await queue.engine.workers()).length === WORKERS, { message: 'three live workers' });
  });

  afterEach(async () => {
    await killPrograms();
    await queue.close();
    await database.drop();
  });

  /** Enqueues jobs one after another; each must start before the next one is enqueued. */
  async function runJobs(): Promise<void> {
    for (let n = 0; n < JOBS; n += 1) {
      const { id } = await queue.engine.enqueue('plain', { reports: true });
      await until(() => workers.some((worker) => worker.all('began').some((report) => report.id === id)), {
        message: `the start of job ${n}`,
      });
    }
  }

  it.each(['SIGSTOP', 'SIGKILL'] as const)('starts when the chosen process has received %s', async (signal) => {
    const [victim, ...others] = workers as [Program, ...Program[]];
    victim.signal(signal);
    workers = others;
    await runJobs();
    expect(victim.all('began')).toEqual([]);
  });
});
