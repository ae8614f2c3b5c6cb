import { PendingQuery } from '../../lib/store/postgres/pending-query.js';
import { runnerOfPool } from '../../lib/store/postgres/pool-runner.js';
import type {
  PooledClient,
  PostgresAnswer,
  PostgresQuery,
  SessionPool,
} from '../../lib/store/postgres/session-pool.js';

type Done = (error: unknown, answer?: PostgresAnswer) => void;

/** A connection that does with a query what a test says. */
class ScriptedClient {
  readonly asked: PostgresQuery[] = [];
  /** Of each time it was given back, whether it was broken. */
  readonly released: boolean[] = [];

  constructor(private readonly answer: (done: Done) => void) {}

  query(query: PostgresQuery, done: Done): void {
    this.asked.push(query);
    this.answer(done);
  }

  release(isBroken = false): void {
    this.released.push(isBroken);
  }

  get pooled(): PooledClient {
    return this as unknown as PooledClient;
  }
}

const ROWS = [{ id: 'a' }];

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function told(): { resolve: jest.Mock; reject: jest.Mock } {
  return { resolve: jest.fn(), reject: jest.fn() };
}

describe('a pending query', () => {
  it('lets go of its values and its rows when it is answered, and not before it is sent', async () => {
    const answer = { rows: ROWS };
    const query = { text: 'SELECT $1', values: ['a'] };
    const waiting = told();
    const done = jest.fn();
    new PendingQuery(query, waiting).send(new ScriptedClient((tell) => tell(null, answer)).pooled, done);
    expect(done).not.toHaveBeenCalled();
    await turn();
    expect(waiting.resolve).toHaveBeenCalledWith(ROWS);
    expect(done).toHaveBeenCalledWith(true);
    expect(answer.rows).toEqual([]);
    expect(query.values).toEqual([]);
  });

  it('is told once, whatever the driver does', async () => {
    const waiting = told();
    const done = jest.fn();
    const client = new ScriptedClient((tell) => {
      tell(new Error('broken'));
      tell(null, { rows: ROWS });
      throw new Error('thrown');
    });
    new PendingQuery({ text: 'SELECT 1', values: [] }, waiting).send(client.pooled, done);
    await turn();
    expect(waiting.reject).toHaveBeenCalledTimes(1);
    expect(waiting.resolve).not.toHaveBeenCalled();
    expect(done).toHaveBeenCalledTimes(1);
    expect(done).toHaveBeenCalledWith(false);
  });

  it('gives the driver the time limit that it is sent with, if any', () => {
    const client = new ScriptedClient((tell) => tell(null, { rows: [] }));
    const query = { text: 'SELECT 1', values: [] };
    new PendingQuery(query, told()).send(client.pooled, jest.fn(), 50);
    new PendingQuery(query, told()).send(client.pooled, jest.fn());
    expect(client.asked).toEqual([{ ...query, query_timeout: 50 }, query]);
  });

  it('that is dropped is told why', () => {
    const waiting = told();
    const error = new Error('no connection');
    new PendingQuery({ text: 'SELECT 1', values: [] }, waiting).drop(error);
    expect(waiting.reject).toHaveBeenCalledWith(error);
  });
});

describe('statements on any connection of a pool', () => {
  const runnerOn = (client: ScriptedClient): ReturnType<typeof runnerOfPool> => {
    const pool: SessionPool = { waitingCount: 0, connect: () => Promise.resolve(client.pooled) };
    return runnerOfPool(pool, (text, params) => ({ text, values: [...params] }));
  };

  it('give it back', async () => {
    const client = new ScriptedClient((tell) => tell(null, { rows: ROWS }));
    expect(await runnerOn(client).query('SELECT 1', [])).toEqual(ROWS);
    expect(client.released).toEqual([false]);
  });

  it.each([
    ['tells an error', (tell: Done) => tell(new Error('refused'))],
    [
      'throws',
      (): never => {
        throw new Error('refused');
      },
    ],
  ])('give it back broken when the driver %s', async (_, answer) => {
    const client = new ScriptedClient(answer);
    await expect(runnerOn(client).query('SELECT 1', [])).rejects.toThrow('refused');
    expect(client.released).toEqual([true]);
  });
});
