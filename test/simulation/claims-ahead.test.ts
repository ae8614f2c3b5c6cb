import { JobsEngine } from '../../lib/engine/jobs-engine.js';
import { until } from '../support/wait.js';
import { instantConnection, SimulatedStore } from './world/simulated-store.js';
import { SimulatedTable } from './world/simulated-table.js';

const JOBS = 10_000;
const SLOTS = 10;

/** An engine whose claims the test answers one by one. */
class GatedQueue {
  readonly table = new SimulatedTable({ now: () => Date.now() });
  readonly engine: JobsEngine;
  readonly errors: string[] = [];
  /** Claims in flight, oldest first. */
  private readonly gates: Record<'open' | 'fail', () => void>[] = [];
  private isOpen = false;

  constructor() {
    const store = new SimulatedStore(this.table, {
      ...instantConnection,
      ask: async (verb, work) => {
        if (verb === 'claim' && !this.isOpen) {
          await new Promise<void>((open, reject) =>
            this.gates.push({ open, fail: () => reject(new Error('rejected by the test')) }),
          );
        }
        return work();
      },
    });
    const quiet = { debug: () => undefined, log: () => undefined, warn: () => undefined };
    const logger = { ...quiet, error: (message: string) => void this.errors.push(message) };
    this.engine = new JobsEngine({ store, concurrency: SLOTS, logger });
  }

  get inFlight(): number {
    return this.gates.length;
  }

  get states(): Set<string> {
    return new Set([...this.table.rows.values()].map(({ status }) => status));
  }

  async enqueue(): Promise<void> {
    await this.engine.enqueueMany(Array.from({ length: JOBS }, (_, payload) => ({ topic: 'work', payload })));
  }

  /** Answers the oldest claim in flight. */
  async answer(how: 'open' | 'fail' = 'open'): Promise<void> {
    await until(() => this.gates.length > 0, { message: 'a claim' });
    this.gates.shift()![how]();
  }

  /** Waits for two claims in flight. The engine first learns from some claims how quick the handlers are. */
  async untilAhead(): Promise<void> {
    await this.answer();
    const isAhead = async (): Promise<boolean> => {
      if (this.inFlight === 1) {
        await this.answer();
      }
      return this.inFlight === 2;
    };
    await until(isAhead, { message: 'a claim that was sent ahead' });
  }

  openAll(): void {
    this.isOpen = true;
    this.gates.splice(0).forEach(({ open }) => open());
  }
}

describe('claims in a backlog', () => {
  let queue: GatedQueue;

  beforeEach(async () => {
    queue = new GatedQueue();
    queue.engine.register('work', () => null);
    await queue.enqueue();
    await queue.engine.start();
  });

  afterEach(async () => {
    queue.openAll();
    await queue.engine.close();
  });

  it('are sent before the last one has its answer, but never three at once', async () => {
    await queue.untilAhead();
    await queue.answer();
    await until(() => queue.inFlight === 2, { message: 'the next claim' });
    queue.openAll();
    await queue.engine.whenIdle();
    expect(queue.states).toEqual(new Set(['completed']));
  });

  it('are released when their answers arrive during a stop', async () => {
    await queue.untilAhead();
    const stopped = queue.engine.stop();
    await queue.answer();
    await queue.answer();
    await stopped;
    expect(queue.inFlight).toBe(0);
    expect(queue.states).toEqual(new Set(['completed', 'pending']));
  });

  it('delay whenIdle until both have answers', async () => {
    await queue.untilAhead();
    let isIdle = false;
    const idle = queue.engine.whenIdle().then(() => (isIdle = true));
    for (const row of queue.table.rows.values()) {
      row.status = 'completed';
    }
    await queue.answer();
    expect(isIdle).toBe(false);
    queue.openAll();
    await idle;
  });

  it('are logged when one fails, and sent again after a pause', async () => {
    await queue.untilAhead();
    await queue.answer('fail');
    await queue.answer();
    await until(() => queue.errors.length > 0, { message: 'a line in the log' });
    expect(queue.errors).toEqual(['claiming jobs: failed, retrying: rejected by the test']);
    queue.openAll();
    await queue.engine.whenIdle();
    expect(queue.states).toEqual(new Set(['completed']));
  });
});
