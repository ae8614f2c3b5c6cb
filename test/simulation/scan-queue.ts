import { JobsEngine } from '../../lib/engine/jobs-engine.js';
import { VirtualClock } from '../support/unit/virtual-clock.js';
import { shortLine, SimulatedStore } from './world/simulated-store.js';
import { SimulatedTable } from './world/simulated-table.js';

export const POLL_MS = 60_000;
/** The last of a chain of jobs of which each enqueues the next. */
export const LAST = 10;
/** What the log says of a scan that the test refuses. */
export const REFUSED = 'claiming jobs: failed, retrying: refused by the test';
/** The time of the queue moves on in steps of this. */
const STEP_MS = 10;

/** A process whose statements are answered when the test says so, and another one that only stores jobs. */
export class ScanQueue {
  readonly clock = new VirtualClock();
  readonly table = new SimulatedTable(this.clock);
  readonly engine: JobsEngine;
  readonly producer: JobsEngine;
  readonly errors: string[] = [];
  /** Payloads in the order in which they were done. */
  readonly done: unknown[] = [];
  scans = 0;
  claims = 0;
  /** How long a look into the indexes is said to have taken. */
  tookMs = 0;
  isRefusing = false;
  /** How long a scan takes. */
  scanMs = 0;
  /** Somebody else holds all rows, or those of a topic. */
  isLocked: boolean | string = false;
  /** What the other process stores is not heard of here. */
  isDeaf = false;
  /** Called once, when the table has answered a claim. */
  onClaim: () => unknown = () => undefined;
  /** For jitter. */
  random = Math.random;
  private readonly gates = new Map<string, Promise<void>>();
  private readonly openers: (() => void)[] = [];
  private hear: ((topic: string) => void) | undefined;

  private constructor() {
    const store = new SimulatedStore(this.table, {
      ...shortLine,
      ask: (verb, work) => this.ask(verb, work),
      meetsLock: (topic) => this.isLocked === true || (topic !== undefined && this.isLocked === topic),
      tookMs: () => this.tookMs,
      listen: (hints) => {
        this.hear = (topic) => hints.jobs(topic);
        return () => undefined;
      },
    });
    const announce = (topics: readonly string[] | 'cancel'): void => {
      if (!this.isDeaf && topics !== 'cancel') topics.forEach((topic) => this.hear?.(topic));
    };
    const { clock } = this;
    const quiet = { debug: () => undefined, log: () => undefined, warn: () => undefined };
    const logger = { ...quiet, error: (message: string) => void this.errors.push(message) };
    const random = (): number => this.random();
    this.engine = new JobsEngine({ store, clock, logger, random, concurrency: 10, pollInterval: POLL_MS });
    const other = new SimulatedStore(this.table, { ...shortLine, announce });
    this.producer = new JobsEngine({ store: other, clock, logger, role: 'producer' });
    this.engine.register('work', ({ payload }) => void this.done.push(payload));
    this.engine.register('chain', async ({ payload }) => {
      if (payload !== LAST) await this.engine.enqueue('chain', (payload as number) + 1);
      this.done.push(payload);
    });
    this.engine.register('slow', ({ payload }) => this.sleep(100).then(() => void this.done.push(payload)));
  }

  /** One that has started, and in which nothing happens by itself before the next poll. */
  static async idle(): Promise<ScanQueue> {
    const queue = new ScanQueue();
    await queue.engine.start();
    await queue.advance(1_000);
    queue.scans = 0;
    return queue;
  }

  /** Statements of this kind that are sent from now on are not answered until what this returns is called. */
  shut(verb: 'claim' | 'scan' | 'settle'): () => void {
    let open!: () => void;
    const gate = new Promise<void>((resolve) => (open = resolve));
    this.gates.set(verb, gate);
    this.openers.push(open);
    return () => {
      if (this.gates.get(verb) === gate) this.gates.delete(verb);
      open();
    };
  }

  /** Moves the time on, and lets everything run meanwhile that waits for no time. */
  async advance(ms: number): Promise<void> {
    for (let leftMs = ms; leftMs > 0; leftMs -= STEP_MS) {
      await this.clock.advance(Math.min(STEP_MS, leftMs));
      await this.settle(5);
    }
  }

  /** Lets everything run that waits for no time. */
  async settle(turns = 100): Promise<void> {
    for (let turn = 0; turn < turns; turn += 1) await this.clock.settle();
  }

  /** In the queue's time. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.clock.schedule(ms, resolve));
  }

  /** The engine ends in the time of its own clock. */
  async close(): Promise<void> {
    this.gates.clear();
    this.openers.forEach((open) => open());
    this.isRefusing = false;
    await this.clock.advanceUntil(this.engine.close());
    await this.producer.close();
  }

  private async ask<T>(verb: string, work: () => T): Promise<T> {
    if (verb === 'scan') this.scans += 1;
    if (verb === 'claim') this.claims += 1;
    const answer = work();
    await this.gates.get(verb);
    if (verb === 'scan' && this.scanMs > 0) await this.sleep(this.scanMs);
    if (verb === 'claim') {
      this.onClaim();
      this.onClaim = () => undefined;
    }
    if (verb === 'scan' && this.isRefusing) throw new Error('refused by the test');
    return answer;
  }
}
