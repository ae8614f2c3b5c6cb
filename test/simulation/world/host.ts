import type { Subscription } from 'rxjs';
import { JobsEngine, SnoozeError, UnrecoverableError } from 'nestjs-jobs';
import type { JobContext } from '../../../lib/core/job-handler.js';
import type { Dice } from '../../chaos/dice.js';
import type { Machine } from './agenda.js';
import type { Judge, Run } from './judge.js';
import type { Act, Plan } from './plan.js';
import { TOPICS } from './plan.js';
import type { SimulatedStore } from './simulated-store.js';

export interface HostOptions {
  readonly machine: Machine;
  readonly store: SimulatedStore;
  readonly plan: Plan;
  readonly settings: Plan['hosts'][number];
  readonly dice: Dice;
  readonly judge: Judge;
  /** What the next run of a job is to do. */
  readonly nextAct: (serial: number) => Act;
}

const OBEYS_WITHIN_MS = 20;
/** A process that runs has noticed within so many quarters of a lease that it lost one. */
const TOLD_QUARTERS = 5;
/** After forced shutdown, in a silent network: 2 s each for outcomes on their way, for loops, and for calls of `enqueue`. */
const STOP_GRACE_MS = 6_500;

/** One process: its engine, and the handlers in it. */
export class Host {
  readonly engine: JobsEngine;
  /** Since when it takes jobs; `undefined` before it runs and from when it is told to stop. */
  runsSinceMs: number | undefined;
  private readonly subscription: Subscription;

  constructor(private readonly options: HostOptions) {
    const { store, machine, settings, dice, plan, judge } = options;
    this.engine = new JobsEngine({ ...settings, store, clock: machine, random: () => dice.next() });
    for (const topic of TOPICS) {
      const concurrency = plan.topicLimits[topic];
      this.engine.register(topic, (job) => this.perform(job), concurrency === undefined ? {} : { concurrency });
    }
    this.subscription = this.engine.events.subscribe((event) => judge.noteEvent(this.name, event));
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

  /** Stops as an application does, and judges how. */
  async stop(): Promise<void> {
    const { machine, judge, plan } = this.options;
    const beganMs = machine.now();
    this.runsSinceMs = undefined;
    judge.stopping(this.name);
    await this.engine.close();
    const pausedMs = Math.max(0, machine.resumesAtMs - beganMs);
    if (machine.now() - beganMs > plan.shutdownMs + STOP_GRACE_MS + pausedMs) {
      judge.blame('shutdown', `${this.name} took ${Math.round(machine.now() - beganMs)} ms to stop`);
    }
    judge.stopped(this.name);
    this.subscription.unsubscribe();
  }

  crash(): void {
    this.runsSinceMs = undefined;
    this.options.machine.crash();
    this.subscription.unsubscribe();
  }

  /** The handler of every topic. */
  private perform(job: JobContext): Promise<void> {
    const { machine, judge, nextAct, dice } = this.options;
    const { ms, end, isDeaf } = nextAct((job.payload as { serial: number }).serial);
    const { id, topic, attempt } = job;
    const at = { host: this.name, beganMs: machine.now() };
    const run: Run = { ...at, id, topic, attempt, end: undefined, isAborted: false };
    judge.began(run);
    return new Promise((resolve, reject) => {
      const finish = (how: Run['end'], settle: () => void): void => {
        if (!run.end) {
          judge.returned(run, how);
          settle();
        }
      };
      machine.schedule(ms, () => finish(end, () => (end === 'return' ? resolve() : reject(thrown[end]()))));
      job.signal.addEventListener('abort', () => {
        run.isAborted = true;
        if (!isDeaf) {
          const obey = (): void => finish('aborted', () => reject(job.signal.reason as Error));
          machine.schedule(dice.whole(0, OBEYS_WITHIN_MS), obey);
        }
      });
    });
  }

  /** Somebody else has taken a job away: its handler here must be told soon, counted in the time that this process runs. */
  expectToBeTold(run: Run): void {
    const { machine, plan, judge } = this.options;
    const wait = (quarters: number): void => {
      if (run.end || run.isAborted) {
        return;
      }
      if (quarters === 0) {
        judge.blame('told', `${this.name} goes on with attempt ${run.attempt} of a job that it has lost`);
      } else {
        machine.schedule(plan.leaseMs / 4, () => wait(quarters - 1));
      }
    };
    wait(TOLD_QUARTERS);
  }
}

const thrown = {
  throw: () => new Error('no luck'),
  unrecoverable: () => new UnrecoverableError('never'),
  snooze: () => new SnoozeError(50),
};
