import { ClaimCapacity } from '../../../lib/engine/claim/claim-capacity.js';
import type { ClaimArrival, ClaimLoopParts } from '../../../lib/engine/claim/claim-loop.js';
import { ClaimLoop } from '../../../lib/engine/claim/claim-loop.js';
import { LaneIndex } from '../../../lib/engine/claim/lane-index.js';
import { LaneSource } from '../../../lib/engine/claim/lane-source.js';
import type { LaneScanner } from '../../../lib/engine/claim/lane-scanner.js';
import { TopicSource, TopicSources } from '../../../lib/engine/claim/topic-source.js';
import type { ClaimRequest, ClaimResult, LaneScan, WaitingLane } from '../../../lib/store/jobs/job-records.js';
import { toClaim } from '../../support/unit/waiting-jobs.js';

/*
 * The claim loop and its sources in all short orders of events: two slots, a topic without limits, and one of which one job may run. Everything
 * is real but the database, the runner and the clock. States are told apart by what can still make a difference.
 */

/** A promise whose end is an event. */
const PENDING = { then: () => undefined, finally: () => undefined };

const SLOTS = 2;
const ARRIVALS = 1;
/** The states are visited in the order of their distance from the start; these take ten seconds. */
const STATES_MAX = 3_000;
const POLL_MS = 1_000;
type Kind = 'plain' | 'limited';
const KINDS: readonly Kind[] = ['plain', 'limited'];

interface Flight {
  readonly kind: Kind;
  readonly request: ClaimRequest;
  readonly version: number;
  readonly settle: (result: ClaimResult) => void;
  result?: ClaimResult;
}

/** The private members that tell states apart, or that a mutant changes. */
interface Insides {
  heldUntilMs: number;
  isFull: boolean;
  news: { hasJobEnded: boolean; isHinted: boolean; hasNewJobs: boolean };
  emptyClaims: number;
  gotNothing: boolean;
  claimedAtMs: number;
  lanes: Map<number, { dueAtMs: number; version: number }>;
}

class World {
  readonly waiting: Record<Kind, number> = { plain: 0, limited: 0 };
  /** Jobs that this process has claimed, by the database. */
  readonly claimed: Record<Kind, number> = { plain: 0, limited: 0 };
  readonly running: Record<Kind, number> = { plain: 0, limited: 0 };
  /** Whether the last job of a kind was announced to this process, or seen by a scan. */
  readonly isKnown: Record<Kind, boolean> = { plain: false, limited: false };
  readonly flights: Flight[] = [];
  arrived = 0;
  stops = 0;
  nowMs = 0;
  timer: { readonly atMs: number; readonly wake: () => void } | undefined;
  scanning: { readonly version: number; seen?: LaneScan; readonly end: () => void } | undefined;
  validity: { readonly version: number; readonly untilMs: number } | undefined;
  readonly index = new LaneIndex();
  readonly topics: TopicSources;
  readonly lanes: LaneSource;
  readonly loop: ClaimLoop;

  constructor() {
    const { index } = this;
    const clock = {
      now: () => this.nowMs,
      schedule: (ms: number, wake: () => void) => {
        const timer = { atMs: this.nowMs + ms, wake };
        this.timer = timer;
        return { cancel: () => void (this.timer = this.timer === timer ? undefined : this.timer) };
      },
    };
    const handlers = KINDS.map((topic) => ({ topic, settings: {} }));
    const runner = {
      ...{ bufferedCount: 0, unrecordedCount: 0, batches: { isUsed: false } },
      prefetch: { target: 0, recordClaim: () => undefined },
      countJobs: (topic: Kind) => this.running[topic],
    };
    Object.defineProperty(runner, 'slotCount', { get: () => this.running.plain + this.running.limited });
    const parts = {
      ...{ clock, runner, concurrency: SLOTS, pollIntervalMs: POLL_MS, leaseMs: 30_000, worker: 'w', random: () => 0 },
      registry: { claimable: () => handlers, get: (topic: string) => handlers.find((each) => each.topic === topic) },
      declarer: { isPending: false, write: () => Promise.resolve() },
      failureLog: { recordFailure: () => undefined, recordSuccess: () => undefined, forget: () => undefined },
      store: {
        capabilities: { pipelined: { atOnce: 1, minJobsForAnother: 1 }, transactionsAtOnce: 0 },
        claim: (request: ClaimRequest) => this.send(request),
      },
      handOvers: { next: () => 100 },
    };
    this.topics = new TopicSources((topic) => new TopicSource(topic, { ...parts, capacity, lanes: index } as never));
    const capacity = new ClaimCapacity({ ...parts, limited: this.topics.byTopic } as never);
    const scanner = this.createScanner(capacity);
    this.lanes = new LaneSource({
      ...parts,
      lanes: index,
      capacity,
      scanner: scanner as unknown as LaneScanner,
    } as never);
    this.loop = new ClaimLoop({
      ...parts,
      ...{ capacity, scanner, lanes: this.lanes, topics: this.topics.byTopic },
      deliver: ({ claims, isStarted }: ClaimArrival) =>
        claims.forEach(({ topic }) => this.arrive(topic as Kind, isStarted)),
      onDeclared: () => undefined,
      isWatched: () => false,
      onPass: () => Infinity,
      onBlocked: () => undefined,
      defer: (pick: () => void) => pick(),
    } as unknown as ClaimLoopParts);
  }

  get free(): number {
    const reserved = this.flights.reduce((sum, { request }) => sum + request.limit, 0);
    return SLOTS - this.running.plain - this.running.limited - reserved;
  }

  flight(kind: Kind): Flight | undefined {
    return this.flights.find((each) => each.kind === kind);
  }

  /** What may happen now. */
  events(): Map<string, () => void> {
    const { loop } = this;
    const events = new Map<string, () => void>();
    if (!loop.isStarted) events.set('start', () => loop.start());
    for (const kind of KINDS) {
      if (this.arrived < ARRIVALS) {
        events.set(`enqueue ${kind}`, () => this.enqueue(kind, true));
        events.set(`enqueue ${kind} without a hint`, () => this.enqueue(kind, false));
      }
      const flight = this.flight(kind);
      if (flight && !flight.result) {
        events.set(`the claim of ${kind} runs`, () => this.execute(flight));
        if (kind === 'limited')
          events.set('the claim finds a lock', () => void (flight.result = { claims: [], rest: 'held', held: 'lock' }));
      } else if (flight) {
        events.set(`the claim of ${kind} returns`, () => this.end(flight));
      }
      if (this.running[kind] > 0) events.set(`a ${kind} job ends`, () => this.endJob(kind));
    }
    if (this.scanning && !this.scanning.seen) events.set('the scan runs', () => this.look());
    else if (this.scanning) events.set('the scan returns', () => this.endScan());
    if (this.timer) events.set('timer', () => this.fire());
    if (loop.isStarted && this.stops < 1) {
      events.set('stop', () => {
        this.stops += 1;
        void loop.stop();
      });
    }
    return events;
  }

  /** What is wrong in this state. */
  faults(): string[] {
    const { loop, flights, running } = this;
    const faults: string[] = [];
    const isWorking = flights.length > 0 || this.scanning !== undefined;
    if (this.free < 0) faults.push('more jobs than slots');
    if (loop.mode === 'full' && running.plain + running.limited === 0 && !isWorking) faults.push('full for ever');
    if (loop.mode === 'working' && !isWorking) faults.push('works on nothing');
    if (loop.isStarted && !isWorking && !this.timer) faults.push('sleeps for ever');
    if (loop.isStarted && !isWorking && this.free > 0) {
      const sleepsLong = (this.timer?.atMs ?? Infinity) - this.nowMs >= POLL_MS / 2;
      for (const kind of KINDS) {
        const mayStart = kind === 'plain' || this.claimed.limited === 0;
        if (this.waiting[kind] > 0 && this.isKnown[kind] && mayStart && sleepsLong)
          faults.push(`a ${kind} job waits for a poll`);
      }
    }
    return faults;
  }

  key(): string {
    const inside = (source: unknown): Insides => source as Insides;
    const topic = this.topics.byTopic.get('limited');
    const limited = topic && inside(topic);
    const relative = (ms: number): number => [this.nowMs, this.nowMs + POLL_MS / 2].filter((at) => ms > at).length;
    const { version } = this.index;
    return JSON.stringify([
      this.loop.mode,
      [this.waiting, this.claimed, this.running, this.isKnown, this.arrived, this.stops],
      this.flights.map(({ kind, request, result, version: sent }) => [
        kind,
        request.limit,
        result && [result.claims.length, result.rest],
        sent === version,
      ]),
      limited && [
        ...[relative(limited.heldUntilMs), limited.isFull, limited.news, Math.min(2, limited.emptyClaims)],
        topic.dueAtMs <= this.nowMs,
        [...limited.lanes.values()].map((lane) => lane.version > (this.flight('limited')?.version ?? version)),
      ],
      [
        relative(inside(this.lanes).heldUntilMs),
        inside(this.lanes).gotNothing,
        this.index.isAnyDue([{ topic: 'plain' }], this.nowMs),
      ],
      this.lanes.served > (topic?.served ?? 0),
      this.timer && relative(this.timer.atMs),
      this.scanning && [this.scanning.seen?.waiting.map(({ topic }) => topic), this.scanning.version === version],
      this.validity && [this.validity.version === version, relative(this.validity.untilMs)],
    ]);
  }

  private enqueue(kind: Kind, isHinted: boolean): void {
    this.arrived += 1;
    this.waiting[kind] += 1;
    this.isKnown[kind] = isHinted && this.loop.isStarted;
    if (isHinted && this.loop.mode !== 'stopped') {
      this.index.markDue(kind, 0);
      this.topics.announce(kind, 0, this.nowMs, this.index.version);
      this.loop.wake();
    }
  }

  private send(request: ClaimRequest): Promise<ClaimResult> {
    const kind = request.from === 'topic' ? 'limited' : 'plain';
    const then = (settle: (result: ClaimResult) => void): unknown => {
      this.flights.push({ kind, request, version: this.index.version, settle });
      return PENDING;
    };
    return { then } as unknown as Promise<ClaimResult>;
  }

  private execute(flight: Flight): void {
    const { kind, request } = flight;
    const room = kind === 'limited' ? 1 - this.claimed.limited : Infinity;
    const count = Math.max(0, Math.min(request.limit, this.waiting[kind], room));
    this.waiting[kind] -= count;
    this.claimed[kind] += count;
    const claims = Array.from({ length: count }, () => toClaim({ topic: kind, priority: 0 }));
    const isHeld = kind === 'limited' && count < request.limit && this.claimed.limited >= 1;
    flight.result = isHeld
      ? { claims, rest: 'held', held: 'concurrency' }
      : { claims, rest: count === request.limit ? 'maybe' : 'none' };
  }

  private end(flight: Flight): void {
    this.flights.splice(this.flights.indexOf(flight), 1);
    flight.settle(flight.result!);
  }

  private arrive(kind: Kind, isStarted: boolean): void {
    if (isStarted) {
      this.running[kind] += 1;
    } else {
      this.claimed[kind] -= 1;
      this.waiting[kind] += 1;
      this.isKnown[kind] = false;
      // As after the outcome of a release is in the row.
      this.index.markDue(kind);
      this.topics.announce(kind, undefined, this.nowMs, this.index.version);
      this.loop.onFreed(kind, true);
    }
  }

  private endJob(kind: Kind): void {
    this.running[kind] -= 1;
    this.claimed[kind] -= 1;
    this.loop.onFreed(kind, false);
    this.loop.onFreed(kind, true);
  }

  private fire(): void {
    const { timer } = this;
    this.timer = undefined;
    this.nowMs = timer!.atMs;
    timer!.wake();
  }

  private look(): void {
    const found = KINDS.filter((kind) => this.waiting[kind] > 0);
    const toLane = (topic: Kind): WaitingLane => ({
      topic,
      priority: 0,
      dueInMs: 0,
      isPaused: false,
      isLimited: topic === 'limited',
    });
    found.forEach((kind) => (this.isKnown[kind] = true));
    this.scanning!.seen = { waiting: found.map(toLane), keyed: [], at: new Date(0), tookMs: 0 };
  }

  private endScan(): void {
    const { seen, version, end } = this.scanning!;
    const topics = KINDS.map((topic) => ({ topic, available: SLOTS, defaultPriority: 0 }));
    this.topics.recordScan(seen!, this.nowMs, version, new Set(KINDS));
    this.index.recordScan(topics, seen!, this.nowMs, 'full', version);
    this.validity = { version, untilMs: this.nowMs + POLL_MS };
    this.scanning = undefined;
    end();
  }

  private createScanner(capacity: ClaimCapacity): ClaimLoopParts['scanner'] & { readonly mode: 'full' } {
    // eslint-disable-next-line @typescript-eslint/no-this-alias -- the getters below have a `this` of their own
    const world = this;
    let hasScanned = false;
    return {
      mode: 'full',
      get mustScanFirst() {
        return !hasScanned;
      },
      get isScanning() {
        return world.scanning !== undefined;
      },
      ...{ isOverdue: false, isHealthy: true, nextTurnInMs: Infinity },
      takeFailure: () => undefined,
      scanValidForMs: () => {
        const { validity, index } = this;
        const dueAtMs = index.nextDueAtMs(capacity.availableTopics());
        const isValid = validity && !index.hasChangedSince(validity.version);
        return isValid ? Math.max(0, Math.min(validity.untilMs, dueAtMs) - this.nowMs) : 0;
      },
      scan: () => {
        hasScanned = true;
        this.validity = undefined;
        this.scanning = { version: this.index.recordSend(), end: () => this.loop.onScanned() };
        return PENDING as unknown as Promise<void>;
      },
      hasFoundLanes: false,
      nextDueInMs: () => Infinity,
    } as never;
  }
}

/** Replays orders of events until no new state appears, or there are too many. Returns the first fault of each kind, and the events before it. */
function explore(): { states: number; faults: Map<string, readonly string[]> } {
  const seen = new Set<string>();
  const faults = new Map<string, readonly string[]>();
  const queue: (readonly string[])[] = [[]];
  for (const path of queue) {
    const world = new World();
    path.forEach((event) => world.events().get(event)!());
    const key = world.key();
    if (!seen.has(key) && seen.size < STATES_MAX) {
      seen.add(key);
      world
        .faults()
        .filter((fault) => !faults.has(fault))
        .forEach((fault) => faults.set(fault, path));
      for (const event of world.events().keys()) queue.push([...path, event]);
    }
  }
  return { states: seen.size, faults };
}

describe('the claim loop', () => {
  it('never gets stuck, and lets no known job wait for a poll that may start', () => {
    const { states, faults } = explore();
    expect([...faults]).toEqual([]);
    expect(states).toBeGreaterThan(1_000);
  });
});
