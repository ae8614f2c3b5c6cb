import type { Clock } from '../../core/clock.js';
import { nextTurn } from '../../store/runtime/real-timers.js';

/** Work of this long shares a turn of the event loop. */
const TURN_MS = 5;

/** Runs long computations step by step, with turns of the event loop in between, so that leases are renewed and requests are served. */
export class LoopTurns {
  private sinceMs: number;

  constructor(private readonly clock: Pick<Clock, 'now'>) {
    this.sinceMs = clock.now();
  }

  async run<T>(steps: Generator<undefined, T>): Promise<T> {
    for (;;) {
      const { done, value } = steps.next();
      if (this.clock.now() - this.sinceMs >= TURN_MS) {
        await nextTurn();
        this.sinceMs = this.clock.now();
      }
      if (done) {
        return value;
      }
    }
  }
}
