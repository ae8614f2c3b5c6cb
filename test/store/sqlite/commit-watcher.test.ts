import { DataSource } from 'typeorm';
import type { Clock } from '../../../lib/core/clock.js';
import { systemClock } from '../../../lib/store/runtime/system-clock.js';
import type { BetterSqliteDatabase } from '../../../lib/store/sqlite/better-sqlite-runner.js';
import { createConnection } from '../../../lib/store/sqlite/sqlite-connection.js';
import { CommitSignal, watchCommits } from '../../../lib/store/sqlite/commit-watcher.js';
import type { SqliteConnection } from '../../../lib/store/sqlite/sqlite-connection.js';
import { singleStatement } from '../../../lib/store/runtime/sql-runner.js';
import type { SqliteFile } from '../../support/databases.js';
import { createSqliteFile } from '../../support/databases.js';
import { until } from '../../support/wait.js';

/** Never wakes, so that only signals lead to hints. */
const stoppedClock: Clock = { now: () => 0, schedule: () => ({ cancel: () => undefined }) };

describe('signals between connections to a SQLite file', () => {
  let file: SqliteFile;
  const sources: DataSource[] = [];

  beforeEach(async () => {
    file = await createSqliteFile();
  });

  afterEach(async () => {
    await Promise.all(sources.splice(0).map((source) => source.destroy()));
    await file.remove();
  });

  async function connect(journalMode = 'WAL'): Promise<SqliteConnection> {
    const source = await new DataSource({ type: 'better-sqlite3', database: file.path }).initialize();
    sources.push(source);
    await source.query(`PRAGMA journal_mode = ${journalMode}`);
    await source.query('CREATE TABLE IF NOT EXISTS notes (text)');
    const { databaseConnection: database } = source.driver as unknown as { databaseConnection: BetterSqliteDatabase };
    const own = { driver: 'better-sqlite3', database, close: () => Promise.resolve() } as const;
    return createConnection(own, { clock: systemClock, lockTimeoutMs: 1_000, isAppInTransaction: () => false });
  }

  const write = (connection: SqliteConnection): Promise<unknown> =>
    connection.writes.run(() => singleStatement('INSERT INTO notes VALUES (1)', []));

  async function watch(connection: SqliteConnection, clock: Clock) {
    const calls = { jobs: 0, cancels: 0 };
    const hints = {
      onJobs: () => (calls.jobs += 1),
      onCancel: () => (calls.cancels += 1),
      onSchedules: () => undefined,
      onWorkers: () => undefined,
      onListening: () => undefined,
      onConnected: () => undefined,
      onConnectFailed: () => undefined,
    };
    const signal = CommitSignal.of(file.path)!;
    return { calls, signal, stop: await watchCommits(connection, hints, clock, signal) };
  }

  it('reach a connection that never reads the data version by itself', async () => {
    const [worker, producer] = [await connect(), await connect()];
    const signal = CommitSignal.of(file.path)!;
    const { calls, stop } = await watch(worker, stoppedClock);
    expect(calls).toEqual({ jobs: 1, cancels: 1 });

    for (const jobs of [2, 3]) {
      await write(producer);
      signal.send();
      await until(() => calls.jobs === jobs, { message: 'a hint' });
      // The log begins anew, as after a checkpoint.
      await producer.read(singleStatement('PRAGMA wal_checkpoint(TRUNCATE)', []));
    }
    await stop();
  });

  it('say nothing without a commit of another connection', async () => {
    const [worker, producer] = [await connect(), await connect()];
    const [observer, sender] = [CommitSignal.of(file.path)!, CommitSignal.of(file.path)!];
    const { calls, signal, stop } = await watch(worker, stoppedClock);
    await write(worker);
    // Called after the listener of the worker.
    const received = new Promise<void>((resolve) => {
      const watching = observer.watch(() => {
        watching!.close();
        resolve();
      });
    });
    signal.send();
    await received;
    expect(calls.jobs).toBe(1);

    // The worker cannot tell whether the next signal is its own, and finds the commit all the same.
    await write(producer);
    signal.send();
    sender.send();
    await until(() => calls.jobs >= 2, { message: 'a hint' });
    await stop();
  });

  it('do not keep the process alive', async () => {
    const worker = await connect();
    const before = process.getActiveResourcesInfo().length;
    const { stop } = await watch(worker, stoppedClock);
    expect(process.getActiveResourcesInfo()).toHaveLength(before);
    await stop();
  });

  it('may be missing: commits of a file without a log are found by reading the data version', async () => {
    const [worker, producer] = [await connect('DELETE'), await connect('DELETE')];
    const { calls, stop } = await watch(worker, systemClock);
    await write(producer);
    CommitSignal.of(file.path)!.send();
    await until(() => calls.jobs === 2 && calls.cancels === 2, { message: 'a hint' });
    await stop();
  });
});
