import type { Subscription } from 'rxjs';
import { JobsEngine, SnoozeError, UnrecoverableError } from 'nestjs-jobs';
import type { JobContext } from '../../../lib/core/job-handler.js';
import type { Dice } from '../../chaos/dice.js';
import type { Machine } from './event-queue.js';
import type { PromiseChecker, Run } from './promise-checker.js';
import type { HandlerBehaviour, Plan } from './plan.js';
import { TOPICS } from './plan.js';
import type { SimulatedStore } from './simulated-store.js';

export interface HostOptions {
  readonly machine: Machine;
  readonly store: SimulatedStore;
  readonly plan: Plan;
  readonly settings: Plan['hosts'][number];
  readonly dice: Dice;
  readonly checker: PromiseChecker;
  /** How the next run of a job behaves. */
  readonly nextBehaviour: (serial: number) => HandlerBehaviour;
}

const OBEYS_WITHIN_MS = 20;
/** A running process aborts a handler within this many quarters of a lease after it lost the lease. */
const ABORT_QUARTERS = 5;
/** After a forced shutdown without answers: 2 s each for outcomes in flight, for loops, and for calls of `enqueue`. */
const STOP_GRACE_MS = 6_500;

/** One process: its engine, and the handlers in it. */
export class Host {
  readonly engine: JobsEngine;
  /** Since when it claims jobs; `undefined` before it runs and after a stop began. */
  runsSinceMs: number | undefined;
  private readonly subscription: Subscription;

  constructor(private readonly options: HostOptions) {
    const { store, machine, settings, dice, plan, checker } = options;
    this.engine = new JobsEngine({
      ...settings,
      store,
      clock: machine,
      random: () => dice.next(),
      worker: machine.name,
    });
    for (const topic of TOPICS) {
      const concurrency = plan.topicLimits[topic];
      this.engine.register(topic, (job) => this.perform(job), concurrency === undefined ? {} : { concurrency });
    }
    this.subscription = this.engine.events.subscribe((event) => checker.recordEvent(this.name, event));
  }

  get name(): string {
    return this.options.machine.name;
  }

  get isDead(): boolean {
    return this.options.machine.isDead;
  }

  async start(): Promise<void> {
    await this.engine.start();
    this.runsSinceMs = this.options.machine.now();
  }

  /** Stops like an application, and checks the duration. */
  async stop(): Promise<void> {
    const { machine, checker, plan } = this.options;
    const startedMs = machine.now();
    this.runsSinceMs = undefined;
    checker.recordStopping(this.name);
    await this.engine.close();
    const pausedMs = Math.max(0, machine.resumesAtMs - startedMs);
    if (machine.now() - startedMs > plan.shutdownMs + STOP_GRACE_MS + pausedMs) {
      checker.report('shutdown', `${this.name} took ${Math.round(machine.now() - startedMs)} ms to stop`);
    }
    checker.recordStopped(this.name);
    this.subscription.unsubscribe();
  }

  crash(): void {
    this.runsSinceMs = undefined;
    this.options.machine.crash();
    this.subscription.unsubscribe();
  }

  /** The handler of every topic. */
  private perform(job: JobContext): Promise<void> {
    const { machine, checker, nextBehaviour, dice } = this.options;
    const { ms, end, ignoresSignal } = nextBehaviour((job.payload as { serial: number }).serial);
    const { id, topic, attempt } = job;
    const at = { host: this.name, startedMs: machine.now() };
    const run: Run = { ...at, id, topic, attempt, end: undefined, isAborted: false };
    checker.recordStart(run);
    return new Promise((resolve, reject) => {
      const finish = (how: Run['end'], settle: () => void): void => {
        if (!run.end) {
          checker.recordReturn(run, how);
          settle();
        }
      };
      machine.schedule(ms, () => finish(end, () => (end === 'return' ? resolve() : reject(thrown[end]()))));
      job.signal.addEventListener('abort', () => {
        run.isAborted = true;
        if (!ignoresSignal) {
          const obey = (): void => finish('aborted', () => reject(job.signal.reason as Error));
          machine.schedule(dice.whole(0, OBEYS_WITHIN_MS), obey);
        }
      });
    });
  }

  /** Another process rescued the job: the handler here must be aborted soon, counted while this process runs. */
  expectAbort(run: Run): void {
    const { machine, plan, checker } = this.options;
    const wait = (quarters: number): void => {
      if (run.end || run.isAborted) {
        return;
      }
      if (quarters === 0) {
        checker.report('abort', `${this.name} still runs attempt ${run.attempt} of a job after it lost the lease`);
      } else {
        machine.schedule(plan.leaseMs / 4, () => wait(quarters - 1));
      }
    };
    wait(ABORT_QUARTERS);
  }
}

const thrown = {
  throw: () => new Error('thrown by the handler'),
  unrecoverable: () => new UnrecoverableError('never'),
  snooze: () => new SnoozeError(50),
};
