import { setImmediate } from 'node:timers/promises';
import type { SqlErrorKind } from '../../../lib/store/runtime/sql-error.js';
import { SqlError } from '../../../lib/store/runtime/sql-error.js';
import type { SqlRow, SqlScript } from '../../../lib/store/runtime/sql-runner.js';
import { AsyncWriteQueue } from '../../../lib/store/sqlite/async-write-queue.js';
import type { BetterSqliteRunner } from '../../../lib/store/sqlite/better-sqlite-runner.js';
import { SyncWriteQueue } from '../../../lib/store/sqlite/sync-write-queue.js';
import type { WriteQueue } from '../../../lib/store/sqlite/write-queue.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';

const clock = new VirtualClock();
const options = { clock, lockTimeoutMs: 1_000, isAppInTransaction: () => false };

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
