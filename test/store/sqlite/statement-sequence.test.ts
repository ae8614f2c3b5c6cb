import type { SqlErrorKind } from '../../../lib/store/sql-error.js';
import { SqlError } from '../../../lib/store/sql-error.js';
import type { SqlRow, SqlScript } from '../../../lib/store/sql-runner.js';
import type { BetterSqliteRunner } from '../../../lib/store/sqlite/driver/better-sqlite-runner.js';
import { AsyncWriteQueue } from '../../../lib/store/sqlite/driver/async-write-queue.js';
import { SyncWriteQueue } from '../../../lib/store/sqlite/driver/sync-write-queue.js';
import type { WriteQueue } from '../../../lib/store/sqlite/driver/write-queue.js';
import { VirtualClock } from '../../support/unit/virtual-clock.js';

const clock = new VirtualClock();
const options = { clock, lockTimeoutMs: 1_000, isAppInTransaction: () => false };

type Query = (sql: string) => readonly SqlRow[];

const lanes: [string, (query: Query) => WriteQueue][] = [
  [
    'answers in a later tick',
    (query) => new AsyncWriteQueue({ ...options, runner: { query: async (sql) => query(sql) } }),
  ],
  [
    'answers within the tick',
    (query) =>
      new SyncWriteQueue({ ...options, runner: { inTransaction: false, query } as unknown as BetterSqliteRunner }),
  ],
];

describe.each(lanes)('a script of which each statement stands alone, where the driver %s', (_, laneOf) => {
  function* script(): SqlScript<string> {
    yield { sql: 'look', params: [], isRead: true };
    yield { sql: 'first', params: [] };
    yield { sql: 'second', params: [] };
    return 'done';
  }

  /** @param failing the statements that meet an error, by default somebody else's lock. */
  const run = async (failing: readonly string[], kind: SqlErrorKind = 'busy'): Promise<unknown> => {
    const lane = laneOf((sql) => {
      if (failing.includes(sql)) {
        throw new SqlError(kind, 'no luck', {});
      }
      return [];
    });
    const answer = lane.run(script).catch((error: unknown) => error);
    await clock.advance(2_000);
    return answer;
  };

  it('has written nothing when its first write finds no lock', async () => {
    expect(await run([])).toBe('done');
    expect(await run(['look'])).toMatchObject({ code: 'QUEUE_UNAVAILABLE', isUncertain: false });
    expect(await run(['first'])).toMatchObject({ code: 'QUEUE_UNAVAILABLE', isUncertain: false });
  });

  it('may have written a part when a later one does, and says so', async () => {
    expect(await run(['second'])).toMatchObject({ code: 'QUEUE_UNAVAILABLE', isUncertain: true });
    expect(await run(['second'], 'unavailable')).toMatchObject({
      code: 'QUEUE_UNAVAILABLE',
      isUncertain: true,
      message: 'the database cannot be used: no luck',
    });
    expect(String(await run(['second'], 'denied'))).toMatch('no luck');
    expect(await run(['first'], 'unavailable')).toMatchObject({ kind: 'unavailable' });
    expect(await run(['second'], 'refused')).toMatchObject({ kind: 'refused' });
  });

  it('goes on where it was when the lock comes late, each time within the time for one', async () => {
    const ran: string[] = [];
    let locked = 'first';
    const lane = laneOf((sql) => {
      if (sql === locked) {
        throw new SqlError('busy', 'no luck', {});
      }
      ran.push(sql);
      return [];
    });
    const answers = [lane.run(script), lane.run(script)];
    await clock.advance(900);
    expect(ran).toEqual(['look']);
    locked = 'second';
    await clock.advance(900);
    expect(ran).toEqual(['look', 'first']);
    locked = 'none';
    await clock.advance(100);
    expect(await Promise.all(answers)).toEqual(['done', 'done']);
    expect(ran).toEqual(['look', 'first', 'second', 'look', 'first', 'second']);
  });
});
