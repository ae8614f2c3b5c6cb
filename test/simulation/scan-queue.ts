import { JobsEngine } from '../../lib/engine/jobs-engine.js';
import { VirtualClock } from '../support/unit/virtual-clock.js';
import { instantConnection, SimulatedStore } from './world/simulated-store.js';
import { SimulatedTable } from './world/simulated-table.js';

export const POLL_MS = 60_000;
/** The last job of a chain in which each job enqueues the next. */
export const LAST = 10;
/** The log line for a rejected scan. */
export const REFUSED = 'claiming jobs: failed, retrying: rejected by the test';
/** Virtual time advances in steps of this. */
const STEP_MS = 10;

/** A worker whose statements the test can hold, and a producer. */
export class ScanQueue {
  readonly clock = new VirtualClock();
  readonly table = new SimulatedTable(this.clock);
  readonly engine: JobsEngine;
  readonly producer: JobsEngine;
  readonly errors: string[] = [];
  /** Payloads of completed jobs, in order. */
  readonly done: unknown[] = [];
  scans = 0;
  claims = 0;
  /** The reported duration of a scan. */
  tookMs = 0;
  rejectsScans = false;
  /** The latency of a scan. */
  scanMs = 0;
  /** Whether another transaction locks all rows, or the rows of one topic. */
  isLocked: boolean | string = false;
  /** Whether the worker misses the notifications of the producer. */
  missesNotifications = false;
  /** Called once, after the next claim. */
  onClaim: () => unknown = () => undefined;
  /** For jitter. */
  random = Math.random;
  private readonly gates = new Map<string, Promise<void>>();
  private readonly openers: (() => void)[] = [];
  private notify: ((topic: string) => void) | undefined;

  private constructor() {
    const store = new SimulatedStore(this.table, {
      ...instantConnection,
      ask: (verb, work) => this.ask(verb, work),
      meetsLock: (topic) => this.isLocked === true || (topic !== undefined && this.isLocked === topic),
      tookMs: () => this.tookMs,
      listen: (hints) => {
        this.notify = (topic) => hints.onJobs(topic);
        return () => undefined;
      },
    });
    const announce = (topics: readonly string[] | 'cancel'): void => {
      if (!this.missesNotifications && topics !== 'cancel') topics.forEach((topic) => this.notify?.(topic));
    };
    const { clock } = this;
    const quiet = { debug: () => undefined, log: () => undefined, warn: () => undefined };
    const logger = { ...quiet, error: (message: string) => void this.errors.push(message) };
    const random = (): number => this.random();
    this.engine = new JobsEngine({ store, clock, logger, random, concurrency: 10, pollInterval: POLL_MS });
    const other = new SimulatedStore(this.table, { ...instantConnection, announce });
    this.producer = new JobsEngine({ store: other, clock, logger, role: 'producer' });
    this.engine.register('work', ({ payload }) => void this.done.push(payload));
    this.engine.register('chain', async ({ payload }) => {
      if (payload !== LAST) await this.engine.enqueue('chain', (payload as number) + 1);
      this.done.push(payload);
    });
    this.engine.register('slow', ({ payload }) => this.sleep(100).then(() => void this.done.push(payload)));
  }

  /** A started queue in which nothing happens before the next poll. */
  static async idle(): Promise<ScanQueue> {
    const queue = new ScanQueue();
    await queue.engine.start();
    await queue.advance(1_000);
    queue.scans = 0;
    return queue;
  }

  /** Holds the answers of statements of this kind until the returned function is called. */
  hold(verb: 'claim' | 'scan' | 'settle'): () => void {
    let open!: () => void;
    const gate = new Promise<void>((resolve) => (open = resolve));
    this.gates.set(verb, gate);
    this.openers.push(open);
    return () => {
      if (this.gates.get(verb) === gate) this.gates.delete(verb);
      open();
    };
  }

  /** Advances the time, and runs everything that becomes possible. */
  async advance(ms: number): Promise<void> {
    for (let leftMs = ms; leftMs > 0; leftMs -= STEP_MS) {
      await this.clock.advance(Math.min(STEP_MS, leftMs));
      await this.settle(5);
    }
  }

  /** Runs everything that does not wait for a timer. */
  async settle(turns = 100): Promise<void> {
    for (let turn = 0; turn < turns; turn += 1) await this.clock.settle();
  }

  /** In virtual time. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.clock.schedule(ms, resolve));
  }

  /** Closes the engine in virtual time. */
  async close(): Promise<void> {
    this.gates.clear();
    this.openers.forEach((open) => open());
    this.rejectsScans = false;
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
    if (verb === 'scan' && this.rejectsScans) throw new Error('rejected by the test');
    return answer;
  }
}
