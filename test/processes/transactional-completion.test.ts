/**
 * @matrix sqlite
 * @slow
 */

import { useBuiltPackage } from './support/built-package.js';
import { killPrograms, Program } from './support/program.js';
import type { Task } from './support/protocol.js';
import type { QueueDatabase } from './support/queue-database.js';
import { newestPostgres, sqlite } from './support/queue-database.js';

const options = { lease: '500ms', pollInterval: '100ms', concurrency: 1 } as const;

const cases = [
  { ...newestPostgres, topic: 'complete_tx' as const },
  { ...newestPostgres, topic: 'transactional' as const },
  { ...sqlite, topic: 'complete_tx' as const },
];

useBuiltPackage();

describe.each(cases)('a process on $name that is killed while $topic completes a job', ({ create, topic }) => {
  let database: QueueDatabase;

  beforeEach(async () => {
    database = await create();
  });

  afterEach(async () => {
    await killPrograms();
    await database.close();
  });

  async function killAt(dies: Task['dies']): Promise<string> {
    const settings = { database: database.address, options };
    const killed = await Program.start('worker', settings);
    const { id } = await database.enqueue(topic, { dies });
    expect(await killed.exited).toEqual({ code: null, signal: 'SIGKILL' });
    return id;
  }

  /** Starts another worker and waits until it has run all jobs. */
  async function recover(): Promise<void> {
    await Program.start('worker', { database: database.address, options });
    const { id } = await database.enqueue(topic);
    await database.completed(id);
  }

  it('before COMMIT: neither is stored, and the next attempt stores both once', async () => {
    const id = await killAt('before commit');
    expect(await database.statusAndEffects(id)).toEqual({ status: 'processing', effects: 0 });

    await recover();
    expect(await database.completed(id)).toMatchObject({ attempt: 2, retries: 1 });
    expect(await database.effects(id)).toMatchObject([{ attempt: 2 }]);
  });

  it('after COMMIT: both are stored, and no other attempt runs', async () => {
    const id = await killAt('after commit');
    expect(await database.statusAndEffects(id)).toEqual({ status: 'completed', effects: 1 });

    await recover();
    expect(await database.job(id)).toMatchObject({ status: 'completed', attempt: 1, retries: 0, lastError: null });
    expect(await database.effects(id)).toMatchObject([{ attempt: 1 }]);
  });
});
