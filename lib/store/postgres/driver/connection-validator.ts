import { clearTimeout, monotonicMs, setImmediate, setTimeout } from '../../real-timers.js';
import { PING } from '../sql/notification.js';
import type { PooledClient, SessionPool } from './session-pool.js';

export interface ValidationTimes {
  /** What was lent or made within this time is taken to be there. */
  readonly bypassMs: number;
  /** An answer that has not come by then does not come; a new connection takes less. */
  readonly timeoutMs: number;
}

const TIMES: ValidationTimes = { bypassMs: 10_000, timeoutMs: 2_000 };

type Client = Pick<PooledClient, 'query' | 'connection'>;

/**
 * Asks a connection that nobody has used for a while whether it is there, before anybody relies on it. Of one that has died in
 * silence, as when a proxy forgets it, a statement would hear nothing until its time limit; of one that the server has just
 * ended, it would not know whether it was done.
 */
export class ConnectionValidator {
  private readonly usedAtMs = new WeakMap<object, number>();
  /** When one was last silent: those that were used before that are not even asked, or each would have to be waited for. */
  private silentAtMs = -Infinity;

  constructor(private readonly times = TIMES) {}

  /** It is new, or about to be used. */
  noteUse(client: object): void {
    this.usedAtMs.set(client, monotonicMs());
  }

  /**
   * The first loan whose connection is there.
   *
   * @param lend takes a connection out of the pool: it makes a new one when there is none left.
   * @param drop takes it back broken.
   */
  async firstValid<T>(lend: () => Promise<T>, clientOf: (loan: T) => Client, drop: (loan: T) => void): Promise<T> {
    for (;;) {
      const loan = await lend();
      const client = clientOf(loan);
      const usedAtMs = this.usedAtMs.get(client) ?? -Infinity;
      this.noteUse(client);
      const isFresh = monotonicMs() - usedAtMs < this.times.bypassMs;
      if (usedAtMs >= this.silentAtMs && (isFresh || (await this.answers(client)))) {
        return loan;
      }
      // Told to end, a connection would wait for an answer first.
      client.connection?.stream.destroy();
      drop(loan);
    }
  }

  /** The same pool, which gives away only what is there. */
  over(pool: SessionPool): SessionPool {
    const lend = (): Promise<PooledClient> => pool.connect();
    const drop = (client: PooledClient): void => client.release(true);
    return {
      get waitingCount() {
        return pool.waitingCount;
      },
      connect: () => this.firstValid(lend, (client) => client, drop),
    };
  }

  private answers(client: Client): Promise<boolean> {
    return new Promise((resolve) => {
      // A process that has stood still reads what has come meanwhile before it looks.
      const timer = setTimeout(() => setImmediate(late), this.times.timeoutMs);
      let isAnswered = false;
      const answered = (isValid: boolean): void => {
        isAnswered = true;
        clearTimeout(timer);
        resolve(isValid);
      };
      const late = (): void => {
        if (!isAnswered) {
          this.silentAtMs = monotonicMs();
          answered(false);
        }
      };
      client.query(PING).then(
        () => answered(true),
        () => answered(false),
      );
    });
  }
}
