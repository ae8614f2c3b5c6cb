import type { Unanswered } from '../../../lib/store/postgres/driver/answer-limit.js';
import { AnswerLimit } from '../../../lib/store/postgres/driver/answer-limit.js';
import { PipelinedRunner } from '../../../lib/store/postgres/driver/pipelined-runner.js';
import type {
  PooledClient,
  PostgresAnswer,
  PostgresQuery,
  SessionPool,
} from '../../../lib/store/postgres/driver/session-pool.js';
import type { SqlRow } from '../../../lib/store/sql-runner.js';
import type { Signal } from '../../support/wait.js';
import { signal } from '../../support/wait.js';

/** Notes how many statements each has been given time for beside itself. */
class NotedLimit extends AnswerLimit {
  readonly ahead: number[] = [];

  override watch(statement: Unanswered, ahead: number): void {
    this.ahead.push(ahead);
    super.watch(statement, ahead);
  }
}

/** A statement that a connection was given, to be answered by the test. */
interface Sent {
  readonly connection: number;
  readonly answer: Signal<PostgresAnswer>;
}

/** A pool whose one connection is as new each time. */
class ScriptedPool implements SessionPool {
  waitingCount = 0;
  connections = 0;
  readonly sent: Sent[] = [];
  /** Of each connection that was given back, whether it was broken. */
  readonly released: boolean[] = [];
  refusal: Error | undefined;
  /** What the driver does with the next query, in the place of sending it. */
  mishap: ((done: (error: unknown) => void) => void) | undefined;
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
    query: (_query: PostgresQuery, done: (error: unknown, answer?: PostgresAnswer) => void) => {
      const { mishap } = this;
      this.mishap = undefined;
      if (mishap) {
        return mishap(done);
      }
      const answer = signal<PostgresAnswer>();
      this.sent.push({ connection: this.connections, answer });
      answer.promise.then((answered) => done(undefined, answered), done);
    },
    release: (isBroken = false) => void this.released.push(isBroken),
  } as PooledClient;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('statements that are sent ahead', () => {
  let pool: ScriptedPool;
  let limit: NotedLimit;
  let runner: PipelinedRunner;

  beforeEach(() => {
    pool = new ScriptedPool();
    limit = new NotedLimit(60_000);
    runner = new PipelinedRunner(pool, (text, params) => ({ text, values: [...params] }), limit);
  });

  const ask = (): Promise<readonly SqlRow[]> => runner.query('SELECT 1', []);

  /** Answers a statement, and lets everything happen that it sets off. */
  async function answer(at: number): Promise<void> {
    pool.sent[at]!.answer.resolve({ rows: [] });
    await turn();
  }

  /** A connection that knows the statement. */
  async function warmUp(): Promise<void> {
    const first = ask();
    await turn();
    await answer(0);
    await first;
    pool.sent.length = 0;
    pool.released.length = 0;
    limit.ahead.length = 0;
  }

  it('wait for the first answer on a connection that is new to the statement', async () => {
    const both = [ask(), ask()];
    await turn();
    expect(pool.sent).toHaveLength(1);
    await answer(0);
    expect(pool.sent).toHaveLength(2);
    expect(pool.released).toEqual([]);
    await answer(1);
    await Promise.all(both);
    expect(pool.released).toEqual([false]);
  });

  it('are two at most, and the second has twice the time', async () => {
    await warmUp();
    const all = [ask(), ask(), ask()];
    await turn();
    expect(limit.ahead).toEqual([0, 1]);
    await answer(0);
    expect(limit.ahead).toEqual([0, 1, 1]);
    await answer(1);
    await answer(2);
    await Promise.all(all);
    expect(pool.released).toEqual([false]);
  });

  it('give the connection back, and ask for it again, when somebody else waits for one', async () => {
    await warmUp();
    pool.waitingCount = 1;
    const both = [ask(), ask()];
    await turn();
    expect(pool.sent).toHaveLength(1);
    await answer(0);
    expect(pool.released).toEqual([false]);
    expect(pool.sent).toHaveLength(2);
    await answer(1);
    await Promise.all(both);
    expect(pool.released).toEqual([false, false]);
  });

  it('give it back broken after one that failed, when the other one has its answer', async () => {
    await warmUp();
    const [first, second] = [ask(), ask()];
    await turn();
    pool.sent[0]!.answer.reject(new Error('no luck'));
    await expect(first).rejects.toThrow('no luck');
    const third = ask();
    await turn();
    expect(pool.sent).toHaveLength(2);
    expect(pool.released).toEqual([]);
    await answer(1);
    await second;
    expect(pool.released).toEqual([true]);
    await answer(2);
    await third;
  });

  it('give it back after a thousand', async () => {
    await warmUp();
    let next: Promise<unknown> = ask();
    await turn();
    for (let at = 0; at < 1_000; at += 1) {
      const following = ask();
      await answer(at);
      await next;
      next = following;
    }
    expect(pool.released).toEqual([false]);
    await answer(1_000);
    await next;
  });

  it('are refused together when there is no connection, and may be asked again', async () => {
    pool.refusal = new Error('none left');
    expect(await Promise.allSettled([ask(), ask()])).toMatchObject([{ status: 'rejected' }, { status: 'rejected' }]);
    pool.refusal = undefined;
    const again = ask();
    await turn();
    await answer(0);
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
  ])('go on after one for which the driver %s', async (_, mishap) => {
    pool.mishap = mishap;
    const [first, second] = [ask(), ask()];
    await expect(first).rejects.toThrow('no memory');
    expect(pool.released).toEqual([true]);
    await turn();
    await answer(0);
    expect(await second).toEqual([]);
    expect(pool.released).toEqual([true, false]);
  });
});
