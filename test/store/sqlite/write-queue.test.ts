import { setImmediate } from 'node:timers/promises';
import type { SqlErrorKind } from '../../../lib/store/runtime/sql-error.js';
import { SqlError } from '../../../lib/store/runtime/sql-error.js';
import type { SqlRow, SqlScript } from '../../../lib/store/runtime/sql-runner.js';
import { AsyncWriteQueue } from '../../../lib/store/sqlite/async-write-queue.js';
import type { BetterSqliteRunner } from '../../../lib/store/sqlite/better-sqlite-runner.js';
import { SyncWriteQueue } from '../../../lib/store/sqlite/sync-write-queue.js';
import type { WriteQueue, WriteQueueOptions } from '../../../lib/store/sqlite/write-queue.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';

const clock = new VirtualClock();
const options = { clock, lockTimeoutMs: 1_000, isAppInTransaction: () => false };

type QueueOptions = Omit<WriteQueueOptions, 'describeTransaction'>;

const throwBusySync = (): never => {
  throw new SqlError('busy', 'failed by the test', {});
};
const throwBusy = async (): Promise<never> => Promise.reject(new SqlError('busy', 'failed by the test', {}));

type Query = (sql: string) => readonly SqlRow[];

const queues: [string, (query: Query) => WriteQueue][] = [
  ['AsyncWriteQueue', (query) => new AsyncWriteQueue({ ...options, runner: { query: async (sql) => query(sql) } })],
  [
    'SyncWriteQueue',
    (query) =>
      new SyncWriteQueue({ ...options, runner: { inTransaction: false, query } as unknown as BetterSqliteRunner }),
  ],
];

describe.each(queues)('a script of several statements in %s', (_, createQueue) => {
  function* script(): SqlScript<string> {
    yield { sql: 'read', params: [], isRead: true };
    yield { sql: 'first', params: [] };
    yield { sql: 'second', params: [] };
    return 'done';
  }

  /** @param failing the statements that fail, by default because another connection holds the lock. */
  const run = async (failing: readonly string[], kind: SqlErrorKind = 'busy'): Promise<unknown> => {
    const queue = createQueue((sql) => {
      if (failing.includes(sql)) {
        throw new SqlError(kind, 'failed by the test', {});
      }
      return [];
    });
    const result = queue.run(script).catch((error: unknown) => error);
    await clock.advance(2_000);
    return result;
  };

  it('fails with certainty when its first write never gets the lock', async () => {
    expect(await run([])).toBe('done');
    expect(await run(['read'])).toMatchObject({ code: 'QUEUE_UNAVAILABLE', isUncertain: false });
    expect(await run(['first'])).toMatchObject({ code: 'QUEUE_UNAVAILABLE', isUncertain: false });
  });

  it('is uncertain when a later write fails', async () => {
    const uncertain = { code: 'QUEUE_UNAVAILABLE', isUncertain: true };
    expect(await run(['second'])).toMatchObject(uncertain);
    expect(await run(['second'], 'unavailable')).toMatchObject(uncertain);
    expect(await run(['second'], 'denied')).toMatchObject(uncertain);
    expect(await run(['first'], 'unavailable')).toMatchObject({ kind: 'unavailable' });
    expect(await run(['second'], 'refused')).toMatchObject({ kind: 'refused' });
  });

  it.each<SqlErrorKind>(['busy', 'refused', 'unavailable'])(
    'returns its result when an optional statement fails because it is %s',
    async (kind) => {
      const queue = createQueue((sql) => {
        if (sql === 'optional') {
          throw new SqlError(kind, 'failed by the test', {});
        }
        return [];
      });
      const result = queue.run(function* () {
        yield { sql: 'first', params: [] };
        yield { sql: 'optional', params: [], isOptional: true };
        return 'done';
      });
      await clock.advance(2_000);
      expect(await result).toBe('done');
    },
  );

  it('continues where it stopped when the lock is free again, with a new timeout for each statement', async () => {
    const ran: string[] = [];
    let locked = 'first';
    const queue = createQueue((sql) => {
      if (sql === locked) {
        throw new SqlError('busy', 'failed by the test', {});
      }
      ran.push(sql);
      return [];
    });
    const results = [queue.run(script), queue.run(script)];
    await clock.advance(900);
    expect(ran).toEqual(['read']);
    locked = 'second';
    await clock.advance(900);
    expect(ran).toEqual(['read', 'first']);
    locked = 'none';
    await clock.advance(100);
    expect(await Promise.all(results)).toEqual(['done', 'done']);
    expect(ran).toEqual(['read', 'first', 'second', 'read', 'first', 'second']);
  });
});

describe.each(queues)('a write that waits for the lock in %s', (_, createQueue) => {
  function* script(): SqlScript<string> {
    yield { sql: 'write', params: [] };
    return 'done';
  }

  it('rejects `lockTimeout` after its call began, however late the call was sent', async () => {
    const queue = createQueue(throwBusySync);
    const startMs = clock.now();
    const endedAtMs = new Map<string, number>();
    const run = (name: string, sinceMs?: number): void =>
      void queue.run(script, sinceMs).catch(() => endedAtMs.set(name, clock.now() - startMs));
    run('first');
    await clock.advance(900);
    run('sent late', startMs + 400);
    run('last');
    await clock.advance(3_000);
    expect([...endedAtMs.keys()]).toEqual(['first', 'sent late', 'last']);
    const [first, late, last] = [...endedAtMs.values()] as [number, number, number];
    expect(first).toBeLessThan(1_000 + 50);
    expect(late).toBeLessThan(1_400 + 50);
    expect(last).toBeLessThan(1_900 + 50);
    expect(Math.min(first - 1_000, late - 1_400, last - 1_900)).toBeGreaterThanOrEqual(0);
  });
});

describe.each([
  ['AsyncWriteQueue', (given: QueueOptions) => new AsyncWriteQueue({ ...given, runner: { query: throwBusy } })],
  [
    'SyncWriteQueue',
    (given: QueueOptions) =>
      new SyncWriteQueue({ ...given, runner: { query: throwBusySync } as unknown as BetterSqliteRunner }),
  ],
] as const)('the lock timeout of %s', (_, createQueue) => {
  /** @param openFrom from when the application has a transaction open, until `openTo`. */
  const rejectionOf = async (openFrom: number, openTo: number): Promise<string> => {
    const clock = new VirtualClock();
    const isAppInTransaction = (): boolean => clock.now() >= openFrom && clock.now() < openTo;
    const queue = createQueue({ clock, lockTimeoutMs: 1_000, isAppInTransaction });
    const rejected = queue
      .run(function* () {
        yield { sql: 'write', params: [] };
      })
      .catch((error: unknown) => (error as Error).message);
    await clock.advance(2_000);
    return (await rejected)!;
  };

  it('names a transaction of this process only if it was open all the time', async () => {
    expect(await rejectionOf(0, Infinity)).toMatch(
      /^a transaction of this process has held the SQLite lock for 1000 ms/,
    );
    expect(await rejectionOf(Infinity, Infinity)).toBe(
      'another process, or another connection of this one, has held the SQLite lock for 1000 ms',
    );
    const both = /^transactions of this process and other connections have held the SQLite lock in turn for 1000 ms/;
    expect(await rejectionOf(900, Infinity)).toMatch(both);
    expect(await rejectionOf(0, 900)).toMatch(both);
  });
});

describe('SyncWriteQueue', () => {
  it('checks once a millisecond whether a transaction of the application has ended', async () => {
    const clock = new VirtualClock();
    let checks = 0;
    const queue = new SyncWriteQueue({
      clock,
      runner: { inTransaction: false } as BetterSqliteRunner,
      isAppInTransaction: () => (checks += 1) > 0,
      lockTimeoutMs: 100,
    });
    const refusal = queue
      .run(function* () {
        yield* [];
      })
      .catch((error: unknown) => error);
    for (let count = 0; count < 20; count += 1) {
      await setImmediate();
    }
    expect(checks).toBe(1);
    await clock.advance(200);
    expect(await refusal).toMatchObject({ code: 'QUEUE_UNAVAILABLE' });
    expect(checks).toBeLessThanOrEqual(102);
  });
});
