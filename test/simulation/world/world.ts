import { JobNotFoundError, JobStateError, QueueUnavailableError } from 'nestjs-jobs';
import { Dice } from '../../chaos/dice.js';
import { EventQueue, Machine } from './event-queue.js';
import { Host } from './host.js';
import type { Violation } from './promise-checker.js';
import { PromiseChecker } from './promise-checker.js';
import { Network } from './network.js';
import type { HandlerBehaviour, Incident, Plan, PlannedJob } from './plan.js';
import { createPlan } from './plan.js';
import { SimulatedStore } from './simulated-store.js';
import { SimulatedTable } from './simulated-table.js';

/** The result of a world. */
export interface WorldResult {
  readonly seed: number;
  readonly violations: readonly Violation[];
  /** The same for the same seed. */
  readonly ledger: readonly string[];
  /** Every statement and every fault, by kind. */
  readonly actions: readonly string[];
}

const EPOCH_MS = Date.UTC(2024, 0, 1);
/** Every job has ended this long after the last fault. */
const END_MAX_MS = 240_000;
const STOP_MAX_MS = 30_000;
/** How long a due job may wait, besides the poll interval, while a process has a free slot. */
const PICKUP_MS = 1_400;
const CHECK_EACH_MS = 200;

/** Several engines on one table, in virtual time. A seed decides everything that happens. */
export class World {
  private readonly dice: Dice;
  private readonly plan: Plan;
  private readonly events: EventQueue;
  private readonly network: Network;
  private readonly table: SimulatedTable;
  private readonly checker: PromiseChecker;
  private readonly hosts: Host[] = [];
  private readonly machines: Machine[] = [];
  private readonly idOf = new Map<number, string>();
  private readonly runsOf = new Map<number, number>();
  /** Processes that stopped while the database was available. */
  private readonly stoppedCleanly = new Set<string>();
  private clockOffMs = 0;
  private isFinal = false;

  constructor(private readonly seed: number) {
    this.dice = new Dice(seed);
    this.plan = createPlan(this.dice.of('plan'));
    this.events = new EventQueue(this.dice.of('agenda'));
    const { faultRates: faultRates, isMild } = this.plan;
    this.network = new Network(this.events, this.dice.of('network'), faultRates, isMild, (fault) => {
      this.checker.actions.push(fault);
    });
    const databaseMs = (): number => Math.floor(EPOCH_MS + this.events.nowMs + this.clockOffMs);
    this.table = new SimulatedTable({
      now: databaseMs,
      onMove: (move) => {
        this.checker.recordMove(move);
        if (move.verb === 'rescue') this.expectAbort(move.id, move.before!.attempt);
      },
    });
    this.checker = new PromiseChecker({
      ...{ plan: this.plan, table: this.table, databaseMs },
      nowMs: () => this.events.nowMs,
      actor: () => this.network.actor,
    });
  }

  /** Runs from the first job to the end of the last process. An unhandled rejection fails the test by itself. */
  async live(): Promise<WorldResult> {
    const { checker, events, plan } = this;
    this.prepare();
    await events.run(() => false, plan.calmAtMs);
    this.calmDown();
    if (!(await events.run(() => this.isOver, events.nowMs + END_MAX_MS))) {
      checker.report('stuck', this.unfinished);
    }
    await this.stopAll();
    checker.checkEnd(this.stoppedCleanly);
    const { violations, ledger, actions: actions } = checker;
    return { seed: this.seed, violations, ledger, actions };
  }

  private prepare(): void {
    const { plan, events } = this;
    plan.hosts.forEach((_settings, index) => this.startHost(index));
    plan.jobs.forEach((job) => events.after(job.atMs, () => this.enqueue(job)));
    plan.incidents.forEach(({ atMs, what }) => events.after(atMs, () => this.strike(what)));
    this.checkPickupRegularly();
  }

  private startHost(index: number): void {
    const machine = new Machine(`${index}.${this.hosts.length}`, this.events);
    const dice = this.dice.of(machine.name);
    const host = new Host({
      ...{ machine, dice, plan: this.plan, checker: this.checker },
      settings: this.plan.hosts[index]!,
      store: new SimulatedStore(this.table, this.network.connectionOf(machine)),
      nextBehaviour: (serial) => this.nextBehaviour(serial),
    });
    this.machines.push(machine);
    this.hosts.push(host);
    void host.start();
  }

  private enqueue({ serial, topic, delayMs: delay, priority, maxRetries, uniqueKey }: PlannedJob): void {
    const host = this.anyHost();
    const options = { delay, priority, maxRetries, ...(uniqueKey && { uniqueKey }) };
    const answer = host?.engine.enqueue(topic, { serial }, options).then(({ id }) => {
      this.idOf.set(serial, id);
      this.checker.recordAcknowledged(id);
    });
    answer?.catch((error: unknown) => this.allow(error));
  }

  private strike(what: Incident): void {
    switch (what.kind) {
      case 'clock':
        this.checker.actions.push(what.kind);
        this.clockOffMs += what.ms;
        return;
      case 'pause':
      case 'outage':
      case 'crash':
      case 'restart':
        return this.hit(what);
      default: {
        const id = this.idOf.get(what.serial);
        const host = this.anyHost();
        if (id && host) host.engine.jobs[what.kind](id).catch((error: unknown) => this.allow(error));
      }
    }
  }

  private hit(what: Extract<Incident, { host: number }>): void {
    const index = this.hosts.findLastIndex((host) => host.name.startsWith(`${what.host}.`));
    const [host, machine] = [this.hosts[index]!, this.machines[index]!];
    if (host.runsSinceMs === undefined) {
      return;
    }
    this.checker.actions.push(what.kind);
    switch (what.kind) {
      case 'pause':
        return machine.pause(what.ms);
      case 'outage':
        return this.network.cut(machine, what.ms);
      case 'crash':
        host.crash();
        this.events.after(what.backInMs, () => this.startHost(what.host));
        return;
      case 'restart':
        void host.stop().then(() => {
          if (this.plan.isMild) this.stoppedCleanly.add(host.name);
          this.events.after(what.backInMs, () => this.startHost(what.host));
        });
    }
  }

  /** Ends all faults and restarts the processes that crashed. */
  private calmDown(): void {
    this.network.isCalm = true;
    for (const index of this.plan.hosts.keys()) {
      const isThere = this.hosts.some((host) => host.name.startsWith(`${index}.`) && host.runsSinceMs !== undefined);
      if (!isThere) this.startHost(index);
    }
  }

  private async stopAll(): Promise<void> {
    this.isFinal = true;
    const running = this.hosts.filter(({ runsSinceMs }) => runsSinceMs !== undefined);
    let stopped = 0;
    for (const host of running) {
      this.stoppedCleanly.add(host.name);
      void host.stop().then(() => (stopped += 1));
    }
    if (!(await this.events.run(() => stopped === running.length, this.events.nowMs + STOP_MAX_MS))) {
      this.checker.report('shutdown', 'a process does not stop at all');
    }
    // Waits for handlers that ignore their signal and for statements in flight.
    await this.events.run(() => false, this.events.nowMs + STOP_MAX_MS);
  }

  private get isOver(): boolean {
    return this.unfinished === '' && this.checker.runs.every(({ end, host }) => end || this.isGone(host));
  }

  private get unfinished(): string {
    const rows = [...this.table.rows.values()].filter(({ finished }) => finished === null);
    return rows.map(({ payload, status }) => `${JSON.stringify(payload)} is ${status}`).join(', ');
  }

  private isGone(name: string): boolean {
    return this.hosts.find((host) => host.name === name)!.isDead;
  }

  private anyHost(): Host | undefined {
    const there = this.hosts.filter((host) => host.runsSinceMs !== undefined);
    return there.length > 0 ? this.dice.pick(there) : undefined;
  }

  private nextBehaviour(serial: number): HandlerBehaviour {
    const { behaviours } = this.plan.jobs[serial]!;
    const runs = this.runsOf.get(serial) ?? 0;
    this.runsOf.set(serial, runs + 1);
    return behaviours[Math.min(runs, behaviours.length - 1)]!;
  }

  private expectAbort(id: string, attempt: number): void {
    for (const run of this.checker.runs.filter((each) => each.id === id && each.attempt === attempt && !each.end)) {
      this.hosts.find(({ name }) => name === run.host)!.expectAbort(run);
    }
  }

  /** In a mild world every due job is claimed in time, with or without notifications. */
  private checkPickupRegularly(): void {
    if (this.plan.isMild && !this.isFinal) {
      const hosts = this.hosts.flatMap(({ name, runsSinceMs }) =>
        runsSinceMs === undefined ? [] : [{ name, idleForMs: this.events.nowMs - runsSinceMs }],
      );
      this.checker.checkPickup(hosts, this.plan.pollMs + PICKUP_MS);
      this.events.after(CHECK_EACH_MS, () => this.checkPickupRegularly());
    }
  }

  /** A request may come too late or find the connection cut. Any other error breaks a promise. */
  private allow(error: unknown): void {
    const isExpected =
      error instanceof QueueUnavailableError || error instanceof JobStateError || error instanceof JobNotFoundError;
    if (!isExpected) this.checker.report('refusal', String(error));
  }
}
