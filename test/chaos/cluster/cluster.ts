import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { JobsOptions } from 'nestjs-jobs';
import { until } from '../../support/wait.js';
import type { Dice } from '../dice.js';
import { FIRST_VERSION } from '../protocol.js';
import { isAtWork, nowUs, readHistory } from '../history.js';
import type { Evidence, Probe, RunningOfKey, Strike } from './evidence.js';
import { gatherEvidence } from './evidence.js';
import type { ChaosDatabase } from './chaos-database.js';
import type { ProcessExit, Role } from './member.js';
import { Member } from './member.js';
import { RUNNING_BY_KEY, selectApplied, TO_BE_REQUEUED, UNFINISHED } from './tables.js';
import type { AppliedRow } from './version-watch.js';
import { VersionWatch } from './version-watch.js';

export const LEASE_MS = 1_000;

export const baseOptions: JobsOptions = {
  lease: LEASE_MS,
  pollInterval: '500ms',
  concurrency: 5,
  maxRetries: 1_000,
  backoff: { type: 'fixed', delay: '50ms' },
  shutdownTimeout: '2s',
  retention: { completed: false, cancelled: false, failed: false },
};

/** Options of one run. */
export interface ClusterOptions {
  readonly dice: Dice;
  readonly options?: JobsOptions;
  readonly mutant?: string;
  readonly isPoisonous?: boolean;
  readonly schedules?: number;
  readonly isLimited?: boolean;
  readonly isLinked?: boolean;
  readonly isVersioned?: boolean;
  readonly handlerMs?: readonly [number, number];
  readonly clockOffsetsMs?: readonly number[];
  /** How long the queue may take to finish all jobs after the last fault. */
  readonly drainMaxMs: number;
}

const WORKERS = 4;
const ENQUEUERS = 2;
const BACKLOG_MAX = 60;
const HANDLER_MS = [20, 300] as const;
const CLOSE_MAX_MS = 15_000;
const DRAIN_LOOK_MS = 100;
const VICTIM_WAIT_MS = 1_500;
const SAMPLE_PAUSE_MS = 100;

/**
 * One database with four workers and two enqueuers at it, each a process. Whoever ends, of himself or not, is replaced,
 * as a process manager would do.
 */
export class Cluster {
  readonly strikes: Strike[] = [];
  private readonly endsMs: number[] = [];
  readonly departures: ProcessExit[] = [];
  readonly probes: Probe[] = [];
  private readonly samples: RunningOfKey[][] = [];
  private readonly versions = new VersionWatch();
  private sampling: Promise<void> | undefined;
  private readonly nextVersions = new Map<Member, number>();
  private readonly replacements = new Map<Member, Member>();
  private readonly members = new Set<Member>();
  private readonly historyFolder = mkdtempSync(join(tmpdir(), 'chaos-history-'));
  private readonly startedUs = nowUs();
  private started = 0;
  private isOpen = true;
  private isLoaded = true;
  private isDrained = false;

  private constructor(
    readonly target: ChaosDatabase,
    private readonly plan: ClusterOptions,
  ) {}

  static async open(target: ChaosDatabase, plan: ClusterOptions): Promise<Cluster> {
    const cluster = new Cluster(target, plan);
    if (plan.isLimited) {
      cluster.sampling = cluster.sample();
    }
    if (plan.isVersioned) {
      cluster.sampling = cluster.sampleVersions();
    }
    const roles: Role[] = [...Array<Role>(WORKERS).fill('worker'), ...Array<Role>(ENQUEUERS).fill('enqueuer')];
    await Promise.all(roles.map((role) => cluster.start(role).ready));
    return cluster;
  }

  get dice(): Dice {
    return this.plan.dice;
  }

  /** Records a fault. The history later shows whether it hit anything. */
  recordStrike(strike: Omit<Strike, 'atUs'>): void {
    this.strikes.push({ ...strike, atUs: nowUs() });
  }

  /** Records the end of a fault, to measure how long the queue takes to continue. */
  recordEnd(): void {
    this.endsMs.push(Date.now());
  }

  /**
   * A member that no other fault has hold of, when at least `spared` others are left; if any comes in time, a worker with
   * a handler that runs: to hit nothing shows nothing.
   */
  async pickVictim(role: Role, spared = 1): Promise<Member> {
    const sinceMs = performance.now();
    const find = (): Member | undefined => {
      const free = [...this.members].filter((member) => member.role === role && member.isFree);
      const isPatient = role === 'worker' && performance.now() - sinceMs < VICTIM_WAIT_MS;
      const wanted = isPatient ? free.filter(({ name }) => isAtWork(this.historyFolder, name)) : free;
      return free.length > spared && wanted.length > 0 ? this.dice.pick(wanted) : undefined;
    };
    return (await until(find, { timeoutMs: 60_000, message: `a ${role} to strike at` }))!;
  }

  workers(): Member[] {
    return [...this.members].filter(({ role }) => role === 'worker');
  }

  /** Sleeps for a random time. */
  async sleepRandomly(fromMs: number, toMs: number): Promise<void> {
    await sleep(this.dice.whole(fromMs, toMs));
  }

  /** Waits for the next enqueue; with a full backlog the enqueuers pause. */
  async untilEnqueue(): Promise<void> {
    const asked = (): number => readHistory(this.historyFolder).filter(({ kind }) => kind === 'asked').length;
    const before = asked();
    await until(() => asked() > before, { timeoutMs: 60_000, message: 'an enqueue' });
  }

  /** Repeats an action until the queue rejects another enqueue, or for at most `maxMs`. */
  async untilRejection(maxMs: number, meanwhile: () => void): Promise<void> {
    const refusals = (): number => readHistory(this.historyFolder).filter(({ kind }) => kind === 'refused').length;
    const before = refusals();
    const isRefused = (): boolean => {
      meanwhile();
      return refusals() > before;
    };
    await until(isRefused, { timeoutMs: maxMs, message: 'a refusal' }).catch(() => undefined);
  }

  /** Adds processes that do nothing but hold the write lock; they end with the load. */
  async addLockers(count: number): Promise<void> {
    await Promise.all(Array.from({ length: count }, () => this.start('locker').ready));
  }

  /** Waits for this many more claims. @param claims SQL that counts them. */
  async untilClaims(claims: string, more: number): Promise<void> {
    const wanted = (await this.count(claims)) + more;
    const isReached = async (): Promise<boolean> => {
      await sleep(DRAIN_LOOK_MS);
      return (await this.count(claims)) >= wanted;
    };
    await until(isReached, { timeoutMs: 120_000, message: `${more} claims` });
  }

  /** Counts the running jobs of limited topics again and again. */
  private async sample(): Promise<void> {
    while (this.isOpen) {
      const rows = await this.target.observe<RunningOfKey>(RUNNING_BY_KEY);
      this.samples.push(rows.map((row) => ({ ...row, running: Number(row.running) })));
      await sleep(SAMPLE_PAUSE_MS);
    }
  }

  /** Records again and again which versions apply. */
  private async sampleVersions(): Promise<void> {
    while (this.isOpen) {
      const [row] = await this.target.observe<AppliedRow>(selectApplied(this.target.kind));
      if (row) this.versions.add(row);
      await sleep(SAMPLE_PAUSE_MS);
    }
  }

  /** The process that replaces this worker is of another version. */
  setNextVersion(member: Member, version: number): void {
    this.nextVersions.set(member, version);
  }

  /** Waits for the process that replaces this worker. */
  async untilReplaced(member: Member): Promise<Member> {
    await member.gone;
    const replacement = await until(() => this.replacements.get(member), { message: 'a new worker' });
    await replacement!.ready;
    return replacement!;
  }

  /** Runs an SQL count. */
  async count(sql: string): Promise<number> {
    const [row] = await this.target.observe<{ count: string | number }>(sql);
    return Number(row!.count);
  }

  /** Stops the enqueuers and waits until the workers have finished all jobs. */
  async drain(): Promise<void> {
    await this.unload();
    const deadlineUs = nowUs() + this.plan.drainMaxMs * 1_000;
    while (!(this.isDrained = (await this.unfinished()) === 0) && nowUs() < deadlineUs) {
      await sleep(DRAIN_LOOK_MS);
    }
  }

  /** Stops all processes and returns the evidence. */
  async close(): Promise<Evidence> {
    await this.unload();
    this.isOpen = false;
    await this.end(this.workers());
    await this.sampling;
    return gatherEvidence(this.target, this.historyFolder, {
      strikes: this.strikes,
      endsMs: this.endsMs,
      departures: this.departures,
      probes: this.probes,
      samples: this.samples,
      versionSamples: this.versions.samples,
      isDrained: this.isDrained,
      seconds: (nowUs() - this.startedUs) / 1e6,
    });
  }

  /** Kills all remaining processes. */
  async dispose(): Promise<void> {
    this.isOpen = false;
    const left = [...this.members];
    left.forEach((member) => member.kill());
    await Promise.all(left.map(({ gone }) => gone));
    await this.sampling;
    rmSync(this.historyFolder, { recursive: true, force: true });
  }

  /** Stops all enqueuers and lockers. */
  async unload(): Promise<void> {
    this.isLoaded = false;
    await this.end([...this.members].filter(({ role }) => role !== 'worker'));
  }

  /** Sends SIGTERM and kills processes that do not end in time. */
  private async end(members: readonly Member[]): Promise<void> {
    for (const member of members) {
      if (member.isPaused) member.resume();
      await member.ready;
      member.terminate();
    }
    await Promise.all(members.map((member) => this.isGoneInTime(member)));
  }

  private async isGoneInTime(member: Member): Promise<void> {
    const timer = setTimeout(() => member.finish(), CLOSE_MAX_MS);
    await member.gone;
    clearTimeout(timer);
  }

  /** Counts unfinished jobs. */
  async unfinished(): Promise<number> {
    return (await this.count(UNFINISHED)) + (await this.count(TO_BE_REQUEUED));
  }

  private start(role: Role, version = this.plan.isVersioned ? FIRST_VERSION : 0): Member {
    this.started += 1;
    const { options, mutant, isPoisonous, isLimited, isLinked, schedules, handlerMs, clockOffsetsMs = [0] } = this.plan;
    const name = `${role}-${this.started}`;
    const { cable, address } = this.target;
    const isApart = cable !== undefined && role === 'worker' && this.started % 2 === 0;
    const settings = {
      name,
      seed: this.dice.of(name).seed,
      database: isApart ? ({ type: 'postgres', url: cable.end.url } as const) : address,
      historyFolder: this.historyFolder,
      options: { ...baseOptions, ...options },
      mutant: mutant ?? null,
      clockOffsetMs: clockOffsetsMs[this.started % clockOffsetsMs.length]!,
      handlerMs: handlerMs ?? HANDLER_MS,
      backlogMax: BACKLOG_MAX,
      isPoisonous: isPoisonous ?? false,
      schedules: schedules ?? 0,
      isLimited: isLimited ?? false,
      isLinked: isLinked ?? false,
      version,
    };
    const member = new Member(role, settings, isApart ? cable.namespace.command : []);
    this.members.add(member);
    void member.gone.then((departure) => {
      this.members.delete(member);
      this.departures.push(departure);
      const isNeeded = role === 'worker' || (role === 'enqueuer' && this.isLoaded);
      if (this.isOpen && isNeeded) {
        this.replacements.set(member, this.start(role, this.nextVersions.get(member) ?? version));
      }
    });
    if (role === 'worker') this.versions.watch(member);
    return member;
  }
}
