import type { PendingQuery } from '../../../lib/store/postgres/pool-runners.js';
import { PipelinedRunner, QueryTimeout } from '../../../lib/store/postgres/pool-runners.js';
import type { PooledClient, PostgresResult, PostgresQuery, SessionPool } from '../../../lib/store/postgres/pool.js';
import type { SqlRow } from '../../../lib/store/runtime/sql-runner.js';
import type { Signal } from '../../support/wait.js';
import { signal } from '../../support/wait.js';

/** Records how many statements ran before each query. */
class RecordingTimeout extends QueryTimeout {
  readonly ahead: number[] = [];

  override add(query: PendingQuery, ahead: number): void {
    this.ahead.push(ahead);
    super.add(query, ahead);
  }
}

/** A statement that was sent; the test supplies its result. */
interface Sent {
  readonly connection: number;
  readonly result: Signal<PostgresResult>;
}

/** A pool of one connection. */
class ScriptedPool implements SessionPool {
  waitingCount = 0;
  connections = 0;
  readonly sent: Sent[] = [];
  /** For each release of the connection, whether it was broken. */
  readonly released: boolean[] = [];
  refusal: Error | undefined;
  /** What the driver does with the next query instead of sending it. */
  failure: ((done: (error: unknown) => void) => void) | undefined;
  private isNew = true;

  connect(): ReturnType<SessionPool['connect']> {
    if (this.refusal) {
      return Promise.reject(this.refusal);
    }
    this.connections += this.isNew ? 1 : 0;
    this.isNew = false;
    return Promise.resolve(this.client);
  }

  private readonly client = {
    query: (_query: PostgresQuery, done: (error: unknown, result?: PostgresResult) => void) => {
      const { failure } = this;
      this.failure = undefined;
      if (failure) {
        return failure(done);
      }
      const result = signal<PostgresResult>();
      this.sent.push({ connection: this.connections, result });
      result.promise.then((returned) => done(undefined, returned), done);
    },
    release: (isBroken = false) => void this.released.push(isBroken),
  } as PooledClient;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('PipelinedRunner', () => {
  let pool: ScriptedPool;
  let timeout: RecordingTimeout;
  let runner: PipelinedRunner;

  beforeEach(() => {
    pool = new ScriptedPool();
    timeout = new RecordingTimeout(60_000);
    runner = new PipelinedRunner(pool, (text, params) => ({ text, values: [...params] }), timeout);
  });

  const runStatement = (): Promise<readonly SqlRow[]> => runner.query('SELECT 1', []);

  /** Returns the result of a statement, and runs what follows from it. */
  async function returnResult(at: number): Promise<void> {
    pool.sent[at]!.result.resolve({ rows: [] });
    await turn();
  }

  /** Prepares the statement on the connection. */
  async function warmUp(): Promise<void> {
    const first = runStatement();
    await turn();
    await returnResult(0);
    await first;
    pool.sent.length = 0;
    pool.released.length = 0;
    timeout.ahead.length = 0;
  }

  it('waits for the first result on a connection that has not prepared the statement', async () => {
    const both = [runStatement(), runStatement()];
    await turn();
    expect(pool.sent).toHaveLength(1);
    await returnResult(0);
    expect(pool.sent).toHaveLength(2);
    expect(pool.released).toEqual([]);
    await returnResult(1);
    await Promise.all(both);
    expect(pool.released).toEqual([false]);
  });

  it('sends two statements at most, and allows the second twice the time', async () => {
    await warmUp();
    const all = [runStatement(), runStatement(), runStatement()];
    await turn();
    expect(timeout.ahead).toEqual([0, 1]);
    await returnResult(0);
    expect(timeout.ahead).toEqual([0, 1, 1]);
    await returnResult(1);
    await returnResult(2);
    await Promise.all(all);
    expect(pool.released).toEqual([false]);
  });

  it('releases the connection between statements when another caller waits for one', async () => {
    await warmUp();
    pool.waitingCount = 1;
    const both = [runStatement(), runStatement()];
    await turn();
    expect(pool.sent).toHaveLength(1);
    await returnResult(0);
    expect(pool.released).toEqual([false]);
    expect(pool.sent).toHaveLength(2);
    await returnResult(1);
    await Promise.all(both);
    expect(pool.released).toEqual([false, false]);
  });

  it('releases a broken connection when the remaining statement has returned', async () => {
    await warmUp();
    const [first, second] = [runStatement(), runStatement()];
    await turn();
    pool.sent[0]!.result.reject(new Error('no luck'));
    await expect(first).rejects.toThrow('no luck');
    const third = runStatement();
    await turn();
    expect(pool.sent).toHaveLength(2);
    expect(pool.released).toEqual([]);
    await returnResult(1);
    await second;
    expect(pool.released).toEqual([true]);
    await returnResult(2);
    await third;
  });

  it('releases the connection after a thousand statements', async () => {
    await warmUp();
    let next: Promise<unknown> = runStatement();
    await turn();
    for (let at = 0; at < 1_000; at += 1) {
      const following = runStatement();
      await returnResult(at);
      await next;
      next = following;
    }
    expect(pool.released).toEqual([false]);
    await returnResult(1_000);
    await next;
  });

  it('rejects all waiting statements when it cannot connect, and connects again for the next', async () => {
    pool.refusal = new Error('none left');
    expect(await Promise.allSettled([runStatement(), runStatement()])).toMatchObject([
      { status: 'rejected' },
      { status: 'rejected' },
    ]);
    pool.refusal = undefined;
    const again = runStatement();
    await turn();
    await returnResult(0);
    expect(await again).toEqual([]);
  });

  it.each([
    [
      'throws',
      (): never => {
        throw new Error('no memory');
      },
    ],
    ['fails at once', (done: (error: unknown) => void) => done(new Error('no memory'))],
  ])('continues after the driver %s', async (_, failure) => {
    pool.failure = failure;
    const [first, second] = [runStatement(), runStatement()];
    await expect(first).rejects.toThrow('no memory');
    expect(pool.released).toEqual([true]);
    await turn();
    await returnResult(0);
    expect(await second).toEqual([]);
    expect(pool.released).toEqual([true, false]);
  });
});
