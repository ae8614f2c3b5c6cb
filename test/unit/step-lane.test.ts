import type { SqlErrorKind } from '../../lib/store/sql-error.js';
import { SqlError } from '../../lib/store/sql-error.js';
import type { SqlRow, SqlScript } from '../../lib/store/sql-runner.js';
import { StepLane } from '../../lib/store/sqlite/step-lane.js';
import { VirtualClock } from './support/virtual-clock.js';

describe('a script of which each statement stands alone', () => {
  const clock = new VirtualClock();

  function laneOf(failing: readonly string[], kind: SqlErrorKind): StepLane {
    const query = async (sql: string): Promise<readonly SqlRow[]> => {
      if (failing.includes(sql)) {
        throw new SqlError(kind, 'no luck', {});
      }
      return [];
    };
    return new StepLane({ runner: { query }, clock, lockTimeoutMs: 1_000, isAppInTransaction: () => false });
  }

  function* script(): SqlScript<string> {
    yield { sql: 'look', params: [], isRead: true };
    yield { sql: 'first', params: [] };
    yield { sql: 'second', params: [] };
    return 'done';
  }

  /** @param failing the statements that meet an error, by default somebody else's lock. */
  const run = async (failing: readonly string[], kind: SqlErrorKind = 'busy'): Promise<unknown> => {
    const answer = laneOf(failing, kind)
      .run(script)
      .catch((error: unknown) => error);
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
    expect(await run(['second'], 'unavailable')).toMatchObject({ code: 'QUEUE_UNAVAILABLE', isUncertain: true });
    expect(await run(['first'], 'unavailable')).toMatchObject({ kind: 'unavailable' });
    expect(await run(['second'], 'refused')).toMatchObject({ kind: 'refused' });
  });
});
