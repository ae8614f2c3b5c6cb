import 'reflect-metadata';
import { loadDriver } from './install-orm.js';
import type { OrmTransaction } from './orm-driver.js';
import { openQueue } from './orm-queue.js';
import type { KilledProgramSettings } from './run-killed.js';

/** Writes and enqueues, or completes a job, in a transaction of an ORM, and kills itself before or after the commit. */
async function main(): Promise<void> {
  const { name, database, url, action, moment, topic } = JSON.parse(process.argv[2]!) as KilledProgramSettings;
  const driver = loadDriver(name);
  const isSynchronous = database === 'sqlite' && driver.isSynchronous === true;
  const queue = await openQueue(database, url, { topics: [topic], lease: '1s' });
  const orm = await driver.open(database, url);

  const transactThenDie = async (call: (tx: OrmTransaction) => Promise<unknown>): Promise<void> => {
    await orm.transact(async (tx) => {
      const written = tx.run(`INSERT INTO effects (id) VALUES ('killed')`);
      // A synchronous transaction has stored both by now, and ends with this tick.
      if (!isSynchronous) await written;
      const called = call(tx);
      if (!isSynchronous) await called;
      if (moment === 'before') die();
      await Promise.all([written, called]);
    });
    die();
  };

  if (action === 'enqueue') {
    await transactThenDie((tx) => queue.engine.enqueueTx(tx.adapt(), topic, null));
  } else {
    queue.engine.register(topic, (job) => transactThenDie((tx) => job.completeTx(tx.adapt(), 'killed')));
    await queue.engine.start();
  }
}

function die(): void {
  process.kill(process.pid, 'SIGKILL');
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
