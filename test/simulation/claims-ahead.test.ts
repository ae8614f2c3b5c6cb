import { JobsEngine } from '../../lib/engine/jobs-engine.js';
import { until } from '../support/wait.js';
import { shortLine, SimulatedStore } from './world/simulated-store.js';
import { SimulatedTable } from './world/simulated-table.js';

const JOBS = 10_000;
const SLOTS = 10;

/** An engine whose claims are answered one by one, when the test says so. */
class GatedQueue {
  readonly table = new SimulatedTable({ now: () => Date.now() });
  readonly engine: JobsEngine;
  readonly errors: string[] = [];
  /** Claims that are not answered yet, the first one first. */
  private readonly gates: Record<'open' | 'refuse', () => void>[] = [];
  private isOpen = false;

  constructor() {
    const store = new SimulatedStore(this.table, {
      ...shortLine,
      ask: async (verb, work) => {
        if (verb === 'claim' && !this.isOpen) {
          await new Promise<void>((open, reject) =>
            this.gates.push({ open, refuse: () => reject(new Error('refused by the test')) }),
          );
        }
        return work();
      },
    });
    const quiet = { debug: () => undefined, log: () => undefined, warn: () => undefined };
    const logger = { ...quiet, error: (message: string) => void this.errors.push(message) };
    this.engine = new JobsEngine({ store, concurrency: SLOTS, logger });
  }

  get underWay(): number {
    return this.gates.length;
  }

  get states(): Set<string> {
    return new Set([...this.table.rows.values()].map(({ status }) => status));
  }

  async enqueue(): Promise<void> {
    await this.engine.enqueueMany(Array.from({ length: JOBS }, (_, payload) => ({ topic: 'work', payload })));
  }

  /** Answers the first claim that is under way. */
  async answer(how: 'open' | 'refuse' = 'open'): Promise<void> {
    await until(() => this.gates.length > 0, { message: 'a claim' });
    this.gates.shift()![how]();
  }

  /** Until two claims are under way: the first ones say how quick handlers are, which on a busy machine takes some. */
  async untilAhead(): Promise<void> {
    await this.answer();
    const isAhead = async (): Promise<boolean> => {
      if (this.underWay === 1) {
        await this.answer();
      }
      return this.underWay === 2;
    };
    await until(isAhead, { message: 'a claim that was sent ahead' });
  }

  openAll(): void {
    this.isOpen = true;
    this.gates.splice(0).forEach(({ open }) => open());
  }
}

describe('claims while more is due than one brings', () => {
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

  it('are sent before the last one is answered, and never three at once', async () => {
    await queue.untilAhead();
    await queue.answer();
    await until(() => queue.underWay === 2, { message: 'the next claim' });
    queue.openAll();
    await queue.engine.whenIdle();
    expect(queue.states).toEqual(new Set(['completed']));
  });

  it('are both given back when they are answered while the process stops', async () => {
    await queue.untilAhead();
    const stopped = queue.engine.stop();
    await queue.answer();
    await queue.answer();
    await stopped;
    expect(queue.underWay).toBe(0);
    expect(queue.states).toEqual(new Set(['completed', 'pending']));
  });

  it('are both waited for by whoever waits for quiet', async () => {
    await queue.untilAhead();
    let isQuiet = false;
    const quiet = queue.engine.whenIdle().then(() => (isQuiet = true));
    for (const row of queue.table.rows.values()) {
      row.status = 'completed';
    }
    await queue.answer();
    expect(isQuiet).toBe(false);
    queue.openAll();
    await quiet;
  });

  it('are told of in the log when the second one fails, and are sent again after a pause', async () => {
    await queue.untilAhead();
    await queue.answer('refuse');
    await queue.answer();
    await until(() => queue.errors.length > 0, { message: 'a line in the log' });
    expect(queue.errors).toEqual(['claiming jobs: failed, retrying: refused by the test']);
    queue.openAll();
    await queue.engine.whenIdle();
    expect(queue.states).toEqual(new Set(['completed']));
  });
});
