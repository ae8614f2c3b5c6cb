import { stat } from 'node:fs';
import type { PooledClient, PostgresResult, PostgresQuery, SessionPool } from '../../../lib/store/postgres/pool.js';
import { createPoolRunner, PendingQuery, QueryTimeout } from '../../../lib/store/postgres/pool-runners.js';
import { monotonicMs } from '../../../lib/store/runtime/real-timers.js';
import { until } from '../../support/wait.js';

type Done = (error: unknown, answer?: PostgresResult) => void;

/** A connection whose replies the test scripts. */
class ScriptedClient {
  readonly connectionParameters = { query_timeout: 31_000 };
  /** The driver's time limit at each query. */
  readonly limits: number[] = [];
  isDestroyed = false;
  readonly connection = { stream: { destroy: (): void => void (this.isDestroyed = true) } };
  /** For each release of the connection, whether it was broken. */
  readonly released: boolean[] = [];

  constructor(private readonly answer: (done: Done) => void) {}

  query(_query: PostgresQuery, done: Done): void {
    this.limits.push(this.connectionParameters.query_timeout);
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

const THROWS: [string, () => never] = [
  'throws',
  () => {
    throw new Error('refused');
  },
];

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function createCallbacks(): { resolve: jest.Mock; reject: jest.Mock } {
  return { resolve: jest.fn(), reject: jest.fn() };
}

const limit = new QueryTimeout(60_000);

describe('PendingQuery', () => {
  it('resolves asynchronously even when the driver replies at once', async () => {
    const waiting = createCallbacks();
    const done = jest.fn();
    const client = new ScriptedClient((done) => done(null, { rows: ROWS }));
    new PendingQuery({ text: 'SELECT $1', values: ['a'] }, waiting, limit).send(client.pooled, done, 0);
    expect(done).not.toHaveBeenCalled();
    await turn();
    expect(waiting.resolve).toHaveBeenCalledWith(ROWS);
    expect(done).toHaveBeenCalledWith(true);
  });

  it('settles once, whatever the driver does', async () => {
    const waiting = createCallbacks();
    const done = jest.fn();
    const client = new ScriptedClient((done) => {
      done(new Error('broken'));
      done(null, { rows: ROWS });
      throw new Error('thrown');
    });
    new PendingQuery({ text: 'SELECT 1', values: [] }, waiting, limit).send(client.pooled, done, 0);
    await turn();
    expect(waiting.reject).toHaveBeenCalledTimes(1);
    expect(waiting.resolve).not.toHaveBeenCalled();
    expect(done).toHaveBeenCalledTimes(1);
    expect(done).toHaveBeenCalledWith(false);
  });

  it.each([['responds', (done: Done) => done(null, { rows: [] })], THROWS])(
    'restores the time limit of the driver when the driver %s',
    (_, answer) => {
      const client = new ScriptedClient(answer);
      new PendingQuery({ text: 'SELECT 1', values: [] }, createCallbacks(), limit).send(client.pooled, jest.fn(), 0);
      expect(client.limits).toEqual([0]);
      expect(client.connectionParameters).toEqual({ query_timeout: 31_000 });
    },
  );

  it('rejects with the given error when it was not sent', () => {
    const waiting = createCallbacks();
    const error = new Error('no connection');
    new PendingQuery({ text: 'SELECT 1', values: [] }, waiting, limit).reject(error);
    expect(waiting.reject).toHaveBeenCalledWith(error);
  });
});

describe('QueryTimeout', () => {
  /** Sends a query that waits for its reply. */
  function send(
    within: QueryTimeout,
    ahead = 0,
  ): { waiting: ReturnType<typeof createCallbacks>; client: ScriptedClient; done: jest.Mock; answer: Done } {
    const waiting = createCallbacks();
    const done = jest.fn();
    let answer: Done = () => undefined;
    const client = new ScriptedClient((done) => (answer = done));
    new PendingQuery({ text: 'SELECT 1', values: [] }, waiting, within).send(client.pooled, done, ahead);
    return { waiting, client, done, answer };
  }

  it('rejects a late query, destroys its connection and ignores a later reply', async () => {
    const short = new QueryTimeout(1);
    const [first, second] = [send(short), send(short)];
    second.answer(null, { rows: ROWS });
    await until(() => first.waiting.reject.mock.calls.length > 0);
    expect(first.waiting.reject).toHaveBeenCalledWith(new Error('the database did not reply in time'));
    expect(first.done).toHaveBeenCalledWith(false);
    expect(first.client.isDestroyed).toBe(true);
    first.answer(null, { rows: ROWS });
    expect(first.waiting.resolve).not.toHaveBeenCalled();
    expect(second.waiting.resolve).toHaveBeenCalledWith(ROWS);
    expect(second.waiting.reject).not.toHaveBeenCalled();
    expect(second.client.isDestroyed).toBe(false);
  });

  it('allows a query more time for each query before it', async () => {
    const short = new QueryTimeout(400);
    const behind = send(short, 4);
    const alone = send(short);
    await until(() => alone.waiting.reject.mock.calls.length > 0);
    expect(behind.waiting.reject).not.toHaveBeenCalled();
    await until(() => behind.waiting.reject.mock.calls.length > 0);
  });

  it('reads pending replies first after the process was suspended', async () => {
    const { waiting, answer } = send(new QueryTimeout(1));
    // Like a reply, it arrives in the poll phase of the event loop.
    stat('.', () => answer(null, { rows: ROWS }));
    const untilMs = monotonicMs() + 1_100;
    while (monotonicMs() < untilMs);
    await until(() => waiting.resolve.mock.calls.length + waiting.reject.mock.calls.length > 0);
    expect(waiting.resolve).toHaveBeenCalledWith(ROWS);
  });
});

describe('createPoolRunner', () => {
  const runnerOn = (client: ScriptedClient): ReturnType<typeof createPoolRunner> => {
    const pool: SessionPool = { waitingCount: 0, connect: () => Promise.resolve(client.pooled) };
    return createPoolRunner(pool, (text, params) => ({ text, values: [...params] }), limit);
  };

  it('releases the connection', async () => {
    const client = new ScriptedClient((done) => done(null, { rows: ROWS }));
    expect(await runnerOn(client).query('SELECT 1', [])).toEqual(ROWS);
    expect(client.released).toEqual([false]);
  });

  it.each([['reports an error', (done: Done) => done(new Error('refused'))], THROWS])(
    'releases a broken connection when the driver %s',
    async (_, answer) => {
      const client = new ScriptedClient(answer);
      await expect(runnerOn(client).query('SELECT 1', [])).rejects.toThrow('refused');
      expect(client.released).toEqual([true]);
    },
  );
});
