/*
 * How processes that share a SQLite file learn of each other's commits. In: the file's data version, which each commit changes, and
 * signals. Out: hints for the engine.
 */
import type { FSWatcher } from 'node:fs';
import { utimesSync, watch } from 'node:fs';
import type { Clock, ScheduledWake } from '../../core/clock.js';
import type { StoreHints } from '../runtime/store-hints.js';
import { singleStatement } from '../runtime/sql-runner.js';
import { DATA_VERSION } from './session.sqlite.js';
import type { SqliteConnection } from './sqlite-connection.js';

/** How often `watchCommits` reads the data version, and how long after a signal at most. A timer that fires costs 30 to 100 µs. */
const POLL_MS = 20;
/** The same while signals arrive. Other programs commit without a signal. */
const SIGNALLED_POLL_MS = 500;

/**
 * Wakes the other processes that have the file open. The sender sets the times of the `-shm` file of SQLite, and inotify reports it to
 * them. SQLite itself writes that file through memory, which inotify does not report.
 */
export class CommitSignal {
  /** Whether this process has sent a signal since it received one. */
  private hasSent = false;

  private constructor(private readonly path: string) {}

  /**
   * Returns `undefined` on systems other than Linux. There a watch may open and close the file, which releases the locks of SQLite.
   *
   * @param database absolute path of a database in WAL mode.
   */
  static of(database: string): CommitSignal | undefined {
    return process.platform === 'linux' ? new CommitSignal(`${database}-shm`) : undefined;
  }

  send(): void {
    this.hasSent = true;
    const now = Date.now() / 1_000;
    try {
      utimesSync(this.path, now, now);
    } catch {
      // The file belongs to another user. The watchers find the commit when they read the data version.
    }
  }

  /**
   * Calls `listener` after each signal, including those of this process. `mayBeOwn`: this process may have sent it. Returns
   * `undefined` without inotify.
   */
  watch(listener: (mayBeOwn: boolean) => void): SignalWatch | undefined {
    try {
      return new SignalWatch(watch(this.path, { persistent: false }), () => {
        const mayBeOwn = this.hasSent;
        this.hasSent = false;
        listener(mayBeOwn);
      });
    } catch {
      // No WAL mode, or a limit of the system, such as fs.inotify.max_user_instances.
      return undefined;
    }
  }
}

class SignalWatch {
  isOpen = true;

  constructor(
    private readonly watcher: FSWatcher,
    listener: () => void,
  ) {
    // 'rename': the file was deleted.
    watcher.on('change', (kind) => (kind === 'change' ? listener() : this.close()));
    watcher.on('error', () => this.close());
  }

  close(): void {
    this.isOpen = false;
    this.watcher.close();
  }
}

/**
 * Calls `hints` at the start and after commits of other connections. After a signal it calls `onJobs` at once and the others at most
 * 20 ms later.
 *
 * @returns a function that stops the watch.
 */
export async function watchCommits(
  connection: SqliteConnection,
  hints: StoreHints,
  clock: Clock,
  signal: CommitSignal | undefined,
): Promise<() => Promise<void>> {
  let polledVersion: unknown;
  /** Version of the last commit after which the engine looked for jobs. */
  let claimedVersion: unknown;
  let timer: ScheduledWake | undefined;
  let isSignalled = false;
  let isWatching = true;
  const pollIn = (ms: number): void => {
    timer?.cancel();
    timer = clock.schedule(ms, () => void poll());
  };
  const onSignal = async (mayBeOwn: boolean): Promise<void> => {
    if (!isSignalled) {
      isSignalled = true;
      pollIn(POLL_MS);
    }
    if (!mayBeOwn) {
      hints.onJobs();
      return;
    }
    const version = await readDataVersion(connection, claimedVersion);
    if (isWatching && version !== claimedVersion) {
      claimedVersion = version;
      hints.onJobs();
    }
  };
  const signals = signal?.watch((mayBeOwn) => void onSignal(mayBeOwn));
  const poll = async (): Promise<void> => {
    isSignalled = false;
    const version = await readDataVersion(connection, polledVersion);
    if (!isWatching) {
      return;
    }
    if (version !== polledVersion) {
      polledVersion = claimedVersion = version;
      hints.onJobs();
      hints.onCancel();
      hints.onSchedules(false);
    }
    pollIn(signals?.isOpen && !isSignalled ? SIGNALLED_POLL_MS : POLL_MS);
  };
  hints.onListening(true);
  await poll();
  return () => {
    isWatching = false;
    timer?.cancel();
    signals?.close();
    return Promise.resolve();
  };
}

async function readDataVersion(connection: SqliteConnection, lastVersion: unknown): Promise<unknown> {
  try {
    return (await connection.read(singleStatement(DATA_VERSION, [])))[0]?.data_version;
  } catch {
    // Another process recovers the log, or the disk failed. The next poll finds the commit.
    return lastVersion;
  }
}
