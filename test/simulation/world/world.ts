import { JobNotFoundError, JobStateError, QueueUnavailableError } from 'nestjs-jobs';
import { Dice } from '../../chaos/dice.js';
import { Agenda, Machine } from './agenda.js';
import { Host } from './host.js';
import type { Violation } from './judge.js';
import { Judge } from './judge.js';
import { Network } from './network.js';
import type { Act, Incident, Plan, PlannedJob } from './plan.js';
import { planOf } from './plan.js';
import { SimulatedStore } from './simulated-store.js';
import { SimulatedTable } from './simulated-table.js';

/** What became of a world. */
export interface Verdict {
  readonly seed: number;
  readonly violations: readonly Violation[];
  /** The same for the same seed. */
  readonly ledger: readonly string[];
  /** Every kind of thing that was done, as often as it was: statements and faults. */
  readonly deeds: readonly string[];
}

const EPOCH_MS = Date.UTC(2024, 0, 1);
/** However unlucky the dice, everything has ended so long after the last fault. */
const END_MAX_MS = 240_000;
const STOP_MAX_MS = 30_000;
/** What a due job may wait beside the poll interval while a process has a slot for it. */
const PICKUP_MS = 1_400;
const LOOK_EACH_MS = 200;

/** Several engines on one table, in virtual time; everything that happens follows from a seed. */
export class World {
  private readonly dice: Dice;
  private readonly plan: Plan;
  private readonly agenda: Agenda;
  private readonly network: Network;
  private readonly table: SimulatedTable;
  private readonly judge: Judge;
  private readonly hosts: Host[] = [];
  private readonly machines: Machine[] = [];
  private readonly idOf = new Map<number, string>();
  private readonly runsOf = new Map<number, number>();
  /** Processes that have stopped while the database answered. */
  private readonly heard = new Set<string>();
  private clockOffMs = 0;
  private isFinal = false;

  constructor(private readonly seed: number) {
    this.dice = new Dice(seed);
    this.plan = planOf(this.dice.of('plan'));
    this.agenda = new Agenda(this.dice.of('agenda'));
    const { climate, isMild } = this.plan;
    this.network = new Network(this.agenda, this.dice.of('network'), climate, isMild, (fault) => {
      this.judge.deeds.push(fault);
    });
    const databaseMs = (): number => Math.floor(EPOCH_MS + this.agenda.nowMs + this.clockOffMs);
    this.table = new SimulatedTable({
      now: databaseMs,
      onMove: (move) => {
        this.judge.noteMove(move);
        if (move.verb === 'rescue') this.expectLoserToBeTold(move.id, move.before!.attempt);
      },
    });
    this.judge = new Judge({
      ...{ plan: this.plan, table: this.table, databaseMs },
      nowMs: () => this.agenda.nowMs,
      actor: () => this.network.actor,
    });
  }

  /** Lets it run from the first job to the end of the last process. A rejection that nobody hears fails the test by itself. */
  async live(): Promise<Verdict> {
    const { judge, agenda, plan } = this;
    this.prepare();
    await agenda.run(() => false, plan.calmAtMs);
    this.calmDown();
    if (!(await agenda.run(() => this.isOver, agenda.nowMs + END_MAX_MS))) {
      judge.blame('stuck', this.unfinished);
    }
    await this.stopAll();
    judge.close(this.heard);
    const { violations, ledger, deeds } = judge;
    return { seed: this.seed, violations, ledger, deeds };
  }

  private prepare(): void {
    const { plan, agenda } = this;
    plan.hosts.forEach((_settings, index) => this.startHost(index));
    plan.jobs.forEach((job) => agenda.after(job.atMs, () => this.enqueue(job)));
    plan.incidents.forEach(({ atMs, what }) => agenda.after(atMs, () => this.strike(what)));
    this.lookEachWhile();
  }

  private startHost(index: number): void {
    const machine = new Machine(`${index}.${this.hosts.length}`, this.agenda);
    const dice = this.dice.of(machine.name);
    const host = new Host({
      ...{ machine, dice, plan: this.plan, judge: this.judge },
      settings: this.plan.hosts[index]!,
      store: new SimulatedStore(this.table, this.network.lineOf(machine)),
      nextAct: (serial) => this.nextAct(serial),
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
      this.judge.noteAcknowledged(id);
    });
    answer?.catch((error: unknown) => this.allow(error));
  }

  private strike(what: Incident): void {
    switch (what.kind) {
      case 'clock':
        this.judge.deeds.push(what.kind);
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
    const place = this.hosts.findLastIndex((host) => host.name.startsWith(`${what.host}.`));
    const [host, machine] = [this.hosts[place]!, this.machines[place]!];
    if (host.runsSinceMs === undefined) {
      return;
    }
    this.judge.deeds.push(what.kind);
    switch (what.kind) {
      case 'pause':
        return machine.pause(what.ms);
      case 'outage':
        return this.network.cut(machine, what.ms);
      case 'crash':
        host.crash();
        this.agenda.after(what.backInMs, () => this.startHost(what.host));
        return;
      case 'restart':
        void host.stop().then(() => {
          if (this.plan.isMild) this.heard.add(host.name);
          this.agenda.after(what.backInMs, () => this.startHost(what.host));
        });
    }
  }

  /** No more faults; a process of each kind is there. */
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
      this.heard.add(host.name);
      void host.stop().then(() => (stopped += 1));
    }
    if (!(await this.agenda.run(() => stopped === running.length, this.agenda.nowMs + STOP_MAX_MS))) {
      this.judge.blame('shutdown', 'a process does not stop at all');
    }
    // Whatever is still on its way arrives: deaf handlers, and statements of those that were stopped.
    await this.agenda.run(() => false, this.agenda.nowMs + STOP_MAX_MS);
  }

  private get isOver(): boolean {
    return this.unfinished === '' && this.judge.runs.every(({ end, host }) => end || this.isGone(host));
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

  private nextAct(serial: number): Act {
    const { acts } = this.plan.jobs[serial]!;
    const runs = this.runsOf.get(serial) ?? 0;
    this.runsOf.set(serial, runs + 1);
    return acts[Math.min(runs, acts.length - 1)]!;
  }

  private expectLoserToBeTold(id: string, attempt: number): void {
    for (const run of this.judge.runs.filter((each) => each.id === id && each.attempt === attempt && !each.end)) {
      this.hosts.find(({ name }) => name === run.host)!.expectToBeTold(run);
    }
  }

  /** In a mild world every due job is picked up in time, hints or not. */
  private lookEachWhile(): void {
    if (this.plan.isMild && !this.isFinal) {
      const hosts = this.hosts.flatMap(({ name, runsSinceMs }) =>
        runsSinceMs === undefined ? [] : [{ name, idleForMs: this.agenda.nowMs - runsSinceMs }],
      );
      this.judge.lookForNeglected(hosts, this.plan.pollMs + PICKUP_MS);
      this.agenda.after(LOOK_EACH_MS, () => this.lookEachWhile());
    }
  }

  /** Requests may come too late, and the line may be cut; nothing else may be wrong with them. */
  private allow(error: unknown): void {
    const isExpected =
      error instanceof QueueUnavailableError || error instanceof JobStateError || error instanceof JobNotFoundError;
    if (!isExpected) this.judge.blame('refusal', String(error));
  }
}
