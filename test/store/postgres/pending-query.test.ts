import { stat } from 'node:fs';
import { AnswerLimit } from '../../../lib/store/postgres/driver/answer-limit.js';
import { PendingQuery } from '../../../lib/store/postgres/driver/pending-query.js';
import { runnerOfPool } from '../../../lib/store/postgres/driver/pool-runner.js';
import type {
  PooledClient,
  PostgresAnswer,
  PostgresQuery,
  SessionPool,
} from '../../../lib/store/postgres/driver/session-pool.js';
import { monotonicMs } from '../../../lib/store/real-timers.js';
import { until } from '../../support/wait.js';

type Done = (error: unknown, answer?: PostgresAnswer) => void;

/** A connection that does with a query what a test says. */
class ScriptedClient {
  readonly connectionParameters = { query_timeout: 31_000 };
  /** With what limit of the driver it was asked. */
  readonly limits: number[] = [];
  /** Whether its socket was destroyed. */
  isDestroyed = false;
  readonly connection = { stream: { destroy: (): void => void (this.isDestroyed = true) } };
  /** Of each time it was given back, whether it was broken. */
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

function told(): { resolve: jest.Mock; reject: jest.Mock } {
  return { resolve: jest.fn(), reject: jest.fn() };
}

const limit = new AnswerLimit(60_000);

describe('a pending query', () => {
  it('is told its rows in its own time, however soon the driver has them', async () => {
    const waiting = told();
    const done = jest.fn();
    const client = new ScriptedClient((tell) => tell(null, { rows: ROWS }));
    new PendingQuery({ text: 'SELECT $1', values: ['a'] }, waiting, limit).send(client.pooled, done, 0);
    expect(done).not.toHaveBeenCalled();
    await turn();
    expect(waiting.resolve).toHaveBeenCalledWith(ROWS);
    expect(done).toHaveBeenCalledWith(true);
  });

  it('is told once, whatever the driver does', async () => {
    const waiting = told();
    const done = jest.fn();
    const client = new ScriptedClient((tell) => {
      tell(new Error('broken'));
      tell(null, { rows: ROWS });
      throw new Error('thrown');
    });
    new PendingQuery({ text: 'SELECT 1', values: [] }, waiting, limit).send(client.pooled, done, 0);
    await turn();
    expect(waiting.reject).toHaveBeenCalledTimes(1);
    expect(waiting.resolve).not.toHaveBeenCalled();
    expect(done).toHaveBeenCalledTimes(1);
    expect(done).toHaveBeenCalledWith(false);
  });

  it.each([['answers', (tell: Done) => tell(null, { rows: [] })], THROWS])(
    'leaves the driver its own limit for what others send, when it %s',
    (_, answer) => {
      const client = new ScriptedClient(answer);
      new PendingQuery({ text: 'SELECT 1', values: [] }, told(), limit).send(client.pooled, jest.fn(), 0);
      expect(client.limits).toEqual([0]);
      expect(client.connectionParameters).toEqual({ query_timeout: 31_000 });
    },
  );

  it('that is dropped is told why', () => {
    const waiting = told();
    const error = new Error('no connection');
    new PendingQuery({ text: 'SELECT 1', values: [] }, waiting, limit).drop(error);
    expect(waiting.reject).toHaveBeenCalledWith(error);
  });
});

describe('a limit for answers', () => {
  /** Sends a query that is never answered. */
  function send(
    within: AnswerLimit,
    ahead = 0,
  ): { waiting: ReturnType<typeof told>; client: ScriptedClient; done: jest.Mock; answer: Done } {
    const waiting = told();
    const done = jest.fn();
    let answer: Done = () => undefined;
    const client = new ScriptedClient((tell) => (answer = tell));
    new PendingQuery({ text: 'SELECT 1', values: [] }, waiting, within).send(client.pooled, done, ahead);
    return { waiting, client, done, answer };
  }

  it('refuses what is late, destroys its connection, and hears no answer any more', async () => {
    const short = new AnswerLimit(1);
    const [first, second] = [send(short), send(short)];
    second.answer(null, { rows: ROWS });
    await until(() => first.waiting.reject.mock.calls.length > 0);
    expect(first.waiting.reject).toHaveBeenCalledWith(new Error('the answer did not come in time'));
    expect(first.done).toHaveBeenCalledWith(false);
    expect(first.client.isDestroyed).toBe(true);
    first.answer(null, { rows: ROWS });
    expect(first.waiting.resolve).not.toHaveBeenCalled();
    expect(second.waiting.resolve).toHaveBeenCalledWith(ROWS);
    expect(second.waiting.reject).not.toHaveBeenCalled();
    expect(second.client.isDestroyed).toBe(false);
  });

  it('gives what stands behind others as much more time', async () => {
    const short = new AnswerLimit(400);
    const behind = send(short, 4);
    const alone = send(short);
    await until(() => alone.waiting.reject.mock.calls.length > 0);
    expect(behind.waiting.reject).not.toHaveBeenCalled();
    await until(() => behind.waiting.reject.mock.calls.length > 0);
  });

  it('reads first what lies there after the process has stood still', async () => {
    const { waiting, answer } = send(new AnswerLimit(1));
    // As an answer does, it comes when the event loop asks the system for news.
    stat('.', () => answer(null, { rows: ROWS }));
    const untilMs = monotonicMs() + 1_100;
    while (monotonicMs() < untilMs);
    await until(() => waiting.resolve.mock.calls.length + waiting.reject.mock.calls.length > 0);
    expect(waiting.resolve).toHaveBeenCalledWith(ROWS);
  });
});

describe('statements on any connection of a pool', () => {
  const runnerOn = (client: ScriptedClient): ReturnType<typeof runnerOfPool> => {
    const pool: SessionPool = { waitingCount: 0, connect: () => Promise.resolve(client.pooled) };
    return runnerOfPool(pool, (text, params) => ({ text, values: [...params] }), limit);
  };

  it('give it back', async () => {
    const client = new ScriptedClient((tell) => tell(null, { rows: ROWS }));
    expect(await runnerOn(client).query('SELECT 1', [])).toEqual(ROWS);
    expect(client.released).toEqual([false]);
  });

  it.each([['tells an error', (tell: Done) => tell(new Error('refused'))], THROWS])(
    'give it back broken when the driver %s',
    async (_, answer) => {
      const client = new ScriptedClient(answer);
      await expect(runnerOn(client).query('SELECT 1', [])).rejects.toThrow('refused');
      expect(client.released).toEqual([true]);
    },
  );
});
