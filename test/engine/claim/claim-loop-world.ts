import type { ClaimArrival, ClaimLoopParts, ClaimSource } from '../../../lib/engine/claim/claim-loop.js';
import { ClaimLoop } from '../../../lib/engine/claim/claim-loop.js';
import type { SlotRequest, SlotShare } from '../../../lib/engine/claim/claim-capacity.js';
import type { TopicSourceParts } from '../../../lib/engine/claim/topic-source.js';
import { TopicSource } from '../../../lib/engine/claim/topic-source.js';
import type { ClaimResult } from '../../../lib/store/jobs/job-records.js';
import { toClaim } from '../../support/unit/waiting-jobs.js';
import type { TopicInsides } from './claim-loop-insides.js';
import { copy, insides } from './claim-loop-insides.js';

/*
 * The claim loop in all orders of events, up to a number of jobs, failures and stops. The loop and the topics with limits are real. The lanes,
 * the scanner, the capacity and the database are small objects, so that a state can be saved, restored and compared: none is visited twice.
 * Claims and scans are thenables that settle when an event says so, and picks run at the end of each event, so that there is nothing to await.
 */

/** All pauses of the sources are multiples of this, since `random` returns 1. So there are few different times. */
const STEP_MS = 20;
const POLL_MS = 2 * STEP_MS;
const PLAIN = 'plain';
const PENDING = { then: () => undefined, finally: () => undefined };
const DONE = { then: (done: () => void): void => done() };

export interface Bounds {
  readonly topics: readonly string[];
  readonly slots: number;
  readonly jobs: number;
  readonly failures: number;
  readonly stops: number;
}

interface Flight {
  readonly source: string;
  readonly request: SlotRequest;
  readonly version: number;
  readonly succeed: (result: ClaimResult) => void;
  readonly fail: (error: Error) => void;
  readonly result?: ClaimResult;
}

interface Timer {
  readonly atMs: number;
  readonly wake: () => void;
}

interface Scan {
  readonly version: number;
  /** The sources with waiting jobs, once the database has looked. */
  readonly seen?: readonly string[];
}

/** Jobs of a source: in the database, and in this process. */
interface Jobs {
  readonly waiting: number;
  readonly processing: number;
  readonly running: number;
  /** Whether this process was notified of the waiting jobs, or has scanned since. */
  readonly isKnown: boolean;
  /** Claims of other sources that were sent while this one could have been served. */
  readonly skipped: number;
}

/** All that changes outside of the loop and the sources. Its values are replaced, never changed. */
interface State {
  nowMs: number;
  version: number;
  jobs: Readonly<Record<string, Jobs>>;
  flights: readonly Flight[];
  reserved: readonly SlotRequest[];
  timer: Timer | undefined;
  scan: Scan | undefined;
  validity: { readonly version: number; readonly untilMs: number } | undefined;
  scannedAtMs: number;
  hasScanned: boolean;
  scanFailure: { readonly error: Error } | undefined;
  lacksCapacity: boolean;
  arrived: number;
  failures: number;
  stops: number;
}

/** All lanes together, with one mark. `LaneIndex` keeps the versions of marks. */
class FakeLanes implements ClaimSource {
  readonly name = PLAIN;
  served = 0;
  inFlight = 0;
  failures = 0;
  pausedUntilMs = -Infinity;
  isBacklogged = false;
  hasNoCapacity = false;
  /** The version in which jobs became known; 0 if none is due. */
  markedVersion = 0;

  constructor(private readonly world: World) {}

  get blockedUntilMs(): number {
    return this.pausedUntilMs;
  }

  get mayPipeline(): boolean {
    return this.isBacklogged && this.inFlight === 1 && this.failures === 0 && this.world.free > 0;
  }

  mark(version: number): void {
    this.markedVersion = version;
  }

  wants(nowMs: number): boolean {
    return this.inFlight === 0 && this.pausedUntilMs <= nowMs && this.markedVersion > 0;
  }

  recordNews(): void {}
  recordScan(): void {}

  request({ slots }: SlotShare, sentMs: number): { request: SlotRequest; sentMs: number } | undefined {
    this.hasNoCapacity = slots === 0;
    this.world.state.lacksCapacity = this.hasNoCapacity;
    const request = { from: 'lanes', lanes: [], limit: slots, slots, leaseMs: 1, worker: 'w' } as SlotRequest;
    return this.hasNoCapacity || this.markedVersion === 0 ? undefined : { request, sentMs };
  }

  record({ request }: { request: SlotRequest }, { claims }: ClaimResult): void {
    const { state } = this.world;
    const { version } = this.world.returning!;
    state.reserved = state.reserved.filter((each) => each !== request);
    state.version += 1;
    this.isBacklogged = claims.length === request.limit;
    if (!this.isBacklogged && this.markedVersion <= version) {
      this.markedVersion = 0;
    }
  }

  recordFailure({ request }: { request: SlotRequest }): void {
    const { state } = this.world;
    state.reserved = state.reserved.filter((each) => each !== request);
    this.isBacklogged = false;
  }
}

export type Saved = readonly [state: State, ...objects: object[]];

export class World {
  state: State;
  returning: Flight | undefined;
  readonly lanes = new FakeLanes(this);
  readonly topics = new Map<string, TopicSource>();
  readonly loop: ClaimLoop;
  readonly names: readonly string[];
  readonly faults = new Set<string>();
  private readonly saved: readonly object[];
  private readonly picks: (() => void)[] = [];
  private isIdle = false;
  /** 0 in a mutant: an announcement then has the version of the last one. */
  versionStep = 1;

  constructor(
    private readonly bounds: Bounds,
    mutate: Mutant = () => undefined,
  ) {
    this.names = [PLAIN, ...bounds.topics];
    const none: Jobs = { waiting: 0, processing: 0, running: 0, isKnown: false, skipped: 0 };
    this.state = {
      ...{ nowMs: 0, version: 1, flights: [], reserved: [], timer: undefined, scan: undefined, validity: undefined },
      ...{ scannedAtMs: -POLL_MS, hasScanned: false, scanFailure: undefined, lacksCapacity: false },
      ...{ arrived: 0, failures: 0, stops: 0 },
      jobs: Object.fromEntries(this.names.map((name) => [name, none])),
    };
    // eslint-disable-next-line @typescript-eslint/no-this-alias -- the getters below have a `this` of their own
    const world = this;
    const common = { random: () => 1, pollIntervalMs: POLL_MS };
    const index = {
      get version() {
        return world.state.version;
      },
      invalidate: () => void (this.state.version += 1),
    };
    const capacity = {
      get freeSlots() {
        return world.free;
      },
      get hasRoomForLanes() {
        return world.state.lacksCapacity && world.free > 0;
      },
      reserve: (request: SlotRequest) => void (this.state.reserved = [...this.state.reserved, request]),
      recordResult: (request: SlotRequest) =>
        void (this.state.reserved = this.state.reserved.filter((each) => each !== request)),
      hasRoomFor: () => true,
      capacityWithin: (_: string, slots: number) => ({ limit: slots, slots }),
    };
    for (const topic of bounds.topics) {
      const parts = { ...common, capacity, lanes: index, handOvers: { next: () => 100 }, leaseMs: 1, worker: 'w' };
      this.topics.set(topic, new TopicSource(topic, parts as unknown as TopicSourceParts));
    }
    const parts = {
      ...common,
      ...{ capacity, lanes: this.lanes, topics: this.topics, scanner: this.createScanner() },
      clock: { now: () => this.state.nowMs, schedule: (ms: number, wake: () => void) => this.schedule(ms, wake) },
      store: { claim: (request: SlotRequest) => this.send(request) },
      failureLog: { recordFailure: () => undefined, recordSuccess: () => undefined, forget: () => undefined },
      declarer: { isPending: false },
      deliver: (arrival: ClaimArrival) => this.deliver(arrival),
      isWatched: () => false,
      onPass: () => Infinity,
      onBlocked: () => undefined,
      defer: (pick: () => void) => void this.picks.push(pick),
    };
    this.loop = new ClaimLoop(parts as unknown as ClaimLoopParts);
    insides(this.loop).idle = () => (this.isIdle ? DONE : PENDING);
    this.saved = [this.loop, this.lanes, ...this.topics.values()];
    mutate(this);
  }

  get free(): number {
    const running = this.names.reduce((sum, name) => sum + this.state.jobs[name]!.running, 0);
    return this.bounds.slots - running - this.state.reserved.reduce((sum, { slots }) => sum + slots, 0);
  }

  save(): Saved {
    return [{ ...this.state }, ...this.saved.map(copy)];
  }

  restore([state, ...objects]: Saved): void {
    this.state = { ...state };
    objects.forEach((object, index) => Object.assign(this.saved[index]!, copy(object)));
  }

  /** Lets an event happen, and all that follows from it at once. */
  async run(event: () => void): Promise<void> {
    event();
    this.runPicks();
    const { flights, scan } = this.state;
    if (this.loop.mode === 'stopping' && flights.length === 0 && !scan) {
      this.isIdle = true;
      await this.loop.stop();
      this.isIdle = false;
    }
    this.check();
  }

  /** What may happen now. */
  *events(): Generator<readonly [name: string, event: () => void]> {
    const { loop, state, bounds } = this;
    if (!loop.isStarted) {
      yield ['start', () => this.start()];
    } else if (state.stops < bounds.stops) {
      yield ['stop', () => this.stop()];
    }
    for (const name of state.arrived < bounds.jobs ? this.names : []) {
      yield [`a job of ${name} is announced`, () => this.enqueue(name, true)];
      yield [`a job of ${name} is stored`, () => this.enqueue(name, false)];
    }
    const mayFail = state.failures < bounds.failures;
    for (const flight of state.flights) {
      if (flight.result) {
        yield [
          `a claim of ${flight.source} returns`,
          () => this.returnClaim(flight, () => flight.succeed(flight.result!)),
        ];
        continue;
      }
      yield [`a claim of ${flight.source} runs`, () => this.execute(flight)];
      if (flight.source !== PLAIN) {
        yield [
          `a claim of ${flight.source} finds a lock`,
          () => this.setResult(flight, { claims: [], rest: 'held', held: 'lock' }),
        ];
      }
      if (mayFail) {
        yield [`a claim of ${flight.source} fails`, () => this.failClaim(flight)];
      }
    }
    for (const name of this.names) {
      const { running, processing } = state.jobs[name]!;
      if (running > 0) {
        yield [`a handler of ${name} returns`, () => this.endHandler(name)];
      }
      if (processing > running + this.onTheirWay(name)) {
        yield [`an outcome of ${name} is written`, () => this.writeOutcome(name)];
      }
    }
    if (state.scan?.seen) {
      yield ['the scan returns', () => this.endScan()];
    } else if (state.scan) {
      yield ['the scan runs', () => this.look()];
      if (mayFail) {
        yield ['the scan fails', () => this.failScan()];
      }
    }
    if (state.timer) {
      yield ['the timer fires', () => this.fire(state.timer!)];
    }
  }

  /** Whether no job is left, and the loop waits for others. */
  get isDrained(): boolean {
    const { jobs } = this.state;
    return (
      this.loop.mode === 'waiting' && this.names.every((name) => jobs[name]!.waiting + jobs[name]!.processing === 0)
    );
  }

  key(): string {
    const { state, lanes, loop } = this;
    const topics = [...this.topics.values()].map((source) => ({ source, inside: source as unknown as TopicInsides }));
    const versions = new Set([
      state.version,
      0,
      lanes.markedVersion,
      state.scan?.version ?? 0,
      state.validity?.version ?? 0,
    ]);
    state.flights.forEach(({ version }) => versions.add(version));
    topics.forEach(({ inside }) => inside.lanes.forEach(({ version }) => versions.add(version)));
    const order = [...versions].sort((a, b) => a - b);
    const rank = (version: number | undefined): number => (version === undefined ? -1 : order.indexOf(version));
    const inMs = (ms: number, min = 0): number => (ms === Infinity ? -1_000 : Math.max(min, ms - state.nowMs));
    const places = [lanes, ...this.topics.values()].sort((a, b) => a.served - b.served).map(({ name }) => name);
    const { hasJustScanned, hasClaimed } = insides(loop);
    return JSON.stringify([
      [loop.mode, hasJustScanned, hasClaimed, places, state.arrived, state.failures, state.stops],
      this.names.map((name) => Object.values<number | boolean>(state.jobs[name]! as never)),
      state.flights.map(({ source, request, version, result }) => [
        ...[source, request.limit, rank(version), result?.claims.length, result?.rest, result?.held],
      ]),
      [
        lanes.isBacklogged,
        lanes.hasNoCapacity,
        rank(lanes.markedVersion),
        Math.min(2, lanes.failures),
        inMs(lanes.pausedUntilMs),
      ],
      topics.map(({ source, inside }) => [
        ...[inside.isFull, inside.news, Math.min(3, inside.emptyClaims), Math.min(2, source.failures)],
        ...[inMs(inside.heldUntilMs), inMs(source.pausedUntilMs), inMs(inside.claimedAtMs, -STEP_MS)],
        [...inside.lanes.values()].map(({ dueAtMs, version }) => [inMs(dueAtMs), rank(version)]),
      ]),
      [
        state.hasScanned,
        state.lacksCapacity,
        inMs(state.scannedAtMs, -POLL_MS),
        state.scan?.seen,
        rank(state.scan?.version),
      ],
      [
        rank(state.validity?.version),
        state.validity && inMs(state.validity.untilMs),
        state.timer && inMs(state.timer.atMs),
      ],
    ]);
  }

  private runPicks(): void {
    for (let pick = this.picks.shift(); pick; pick = this.picks.shift()) {
      pick();
    }
  }

  private check(): void {
    const { loop, lanes, topics, free } = this;
    const { nowMs, flights, scan, timer, jobs } = this.state;
    const isBusy = flights.length > 0 || scan !== undefined;
    const runs = this.names.some((name) => jobs[name]!.running > 0);
    if (free < 0) this.faults.add('more jobs than slots');
    if (loop.mode === 'full' && !runs && !isBusy) this.faults.add('full without a job');
    if (loop.mode === 'working' && !isBusy) this.faults.add('works on nothing');
    if (loop.mode === 'stopped' && isBusy) this.faults.add('stopped with work in flight');
    if (loop.isStarted && !isBusy && !timer) this.faults.add('sleeps for ever');
    if (!loop.isStarted || loop.mode === 'starting' || free <= 0) {
      return;
    }
    const hasTopicClaim = flights.some(({ source }) => source !== PLAIN);
    for (const source of [lanes, ...(hasTopicClaim ? [] : topics.values())]) {
      if (source.wants(nowMs)) this.faults.add('a source wants slots, a slot is free, and no claim was sent');
    }
    for (const name of scan ? [] : this.names) {
      const topic = topics.get(name);
      const { waiting, processing, isKnown } = jobs[name]!;
      if (waiting === 0 || !isKnown || (topic ? hasTopicClaim || processing > 0 : lanes.inFlight > 0)) continue;
      const startsAtMs = topic
        ? Math.max(topic.dueAtMs, topic.blockedUntilMs)
        : lanes.markedVersion > 0
          ? nowMs
          : Infinity;
      const isFailing = (topic ?? lanes).failures > 0;
      const wakesAtMs = isBusy ? nowMs : timer!.atMs;
      if (!isFailing && Math.max(startsAtMs, wakesAtMs) > nowMs + STEP_MS)
        this.faults.add('a known job waits for a poll');
    }
  }

  private change(name: string, changes: Partial<Jobs>): void {
    this.state.jobs = { ...this.state.jobs, [name]: { ...this.state.jobs[name]!, ...changes } };
  }

  private announce(name: string): void {
    this.state.version += this.versionStep;
    if (name === PLAIN) {
      this.lanes.mark(this.state.version);
    } else {
      this.topics.get(name)!.announce(0, this.state.nowMs, this.state.version);
    }
    this.loop.wake();
  }

  private start(): void {
    this.state.hasScanned = false;
    this.state.scanFailure = undefined;
    this.loop.start();
    // As `Dispatcher.start` does: notifications from before the start were not received.
    this.state.version += 1;
    this.topics.forEach((topic) => topic.announce(undefined, this.state.nowMs, this.state.version));
    this.loop.wake();
  }

  private stop(): void {
    this.state.stops += 1;
    void this.loop.stop();
  }

  private enqueue(name: string, isAnnounced: boolean): void {
    this.state.arrived += 1;
    const { waiting, isKnown } = this.state.jobs[name]!;
    const isHeard = isAnnounced && this.loop.mode !== 'stopped';
    this.change(name, { waiting: waiting + 1, isKnown: isKnown || isHeard });
    if (isHeard) {
      this.announce(name);
    }
  }

  private send(request: SlotRequest): unknown {
    const source = request.from === 'topic' ? request.topic : PLAIN;
    const { nowMs, flights, version } = this.state;
    const isOtherTopicIn = flights.some((flight) => flight.source !== PLAIN);
    this.change(source, { skipped: 0 });
    for (const [name, other] of [[PLAIN, this.lanes] as const, ...this.topics]) {
      if (name !== source && other.wants(nowMs) && (name === PLAIN || !isOtherTopicIn)) {
        const skipped = this.state.jobs[name]!.skipped + 1;
        this.change(name, { skipped });
        if (skipped >= this.names.length) this.faults.add('a source starves');
        if (request.slots > Math.ceil((this.free + request.slots) / 2)) this.faults.add('more than half of the slots');
      }
    }
    const then = (succeed: Flight['succeed'], fail: Flight['fail']): unknown => {
      this.state.flights = [...this.state.flights, { source, request, version, succeed, fail }];
      return PENDING;
    };
    return { then };
  }

  private execute(flight: Flight): void {
    const { source, request } = flight;
    const { waiting, processing } = this.state.jobs[source]!;
    const room = source === PLAIN ? Infinity : 1 - processing;
    const count = Math.max(0, Math.min(request.limit, waiting, room));
    const isKnown = waiting > count && this.state.jobs[source]!.isKnown;
    this.change(source, { waiting: waiting - count, processing: processing + count, isKnown });
    const claims = Array.from({ length: count }, () => toClaim({ topic: source, priority: 0 }));
    const isHeld = source !== PLAIN && count < request.limit && count === room;
    const rest = { claims, rest: count === request.limit ? ('maybe' as const) : ('none' as const) };
    this.setResult(flight, isHeld ? { claims, rest: 'held', held: 'concurrency' } : rest);
  }

  private setResult(flight: Flight, result: ClaimResult): void {
    this.state.flights = this.state.flights.map((each) => (each === flight ? { ...flight, result } : each));
  }

  private returnClaim(flight: Flight, settle: () => void): void {
    this.state.flights = this.state.flights.filter((each) => each !== flight);
    this.returning = flight;
    settle();
    this.returning = undefined;
  }

  private failClaim(flight: Flight): void {
    this.state.failures += 1;
    this.returnClaim(flight, () => flight.fail(new Error('no connection')));
  }

  private deliver({ sent, claims, isStarted }: ClaimArrival): void {
    const { request } = sent as { request: SlotRequest };
    const name = request.from === 'topic' ? request.topic : PLAIN;
    const { running, processing, waiting } = this.state.jobs[name]!;
    if (isStarted) {
      this.change(name, { running: running + claims.length });
    } else if (claims.length > 0) {
      this.change(name, { processing: processing - claims.length, waiting: waiting + claims.length, isKnown: true });
      this.loop.onFreed(name, true);
      this.announce(name);
    }
  }

  /** Jobs of claims whose results are on their way. */
  private onTheirWay(name: string): number {
    return this.state.flights.reduce(
      (sum, { source, result }) => sum + (source === name ? (result?.claims.length ?? 0) : 0),
      0,
    );
  }

  private endHandler(name: string): void {
    this.change(name, { running: this.state.jobs[name]!.running - 1 });
    this.loop.onFreed(name, false);
  }

  private writeOutcome(name: string): void {
    this.change(name, { processing: this.state.jobs[name]!.processing - 1 });
    this.loop.onFreed(name, true);
  }

  private schedule(ms: number, wake: () => void): { cancel: () => void } {
    const timer = { atMs: this.state.nowMs + ms, wake };
    this.state.timer = timer;
    return { cancel: () => void (this.state.timer = this.state.timer === timer ? undefined : this.state.timer) };
  }

  private fire({ atMs, wake }: Timer): void {
    this.state.timer = undefined;
    this.state.nowMs = atMs;
    wake();
  }

  private look(): void {
    const seen = this.names.filter((name) => this.state.jobs[name]!.waiting > 0);
    seen.forEach((name) => this.change(name, { isKnown: true }));
    this.state.scan = { ...this.state.scan!, seen };
  }

  private endScan(): void {
    const { scan, nowMs } = this.state;
    const { seen, version } = scan!;
    for (const [topic, source] of this.topics) {
      const lane = { topic, priority: 0, dueInMs: 0, isPaused: false, isLimited: true };
      source.recordScan(seen!.includes(topic) ? [lane] : [], false, nowMs, version);
    }
    const { markedVersion } = this.lanes;
    this.lanes.markedVersion = seen!.includes(PLAIN)
      ? Math.max(markedVersion, version)
      : markedVersion > version
        ? markedVersion
        : 0;
    this.state.validity = { version, untilMs: nowMs + POLL_MS };
    this.settleScan();
  }

  private failScan(): void {
    this.state.failures += 1;
    this.state.scanFailure = { error: new Error('no connection') };
    this.settleScan();
  }

  private settleScan(): void {
    this.state.hasScanned = true;
    this.state.scan = undefined;
    this.loop.onScanned();
  }

  private createScanner(): ClaimLoopParts['scanner'] {
    // eslint-disable-next-line @typescript-eslint/no-this-alias -- the getters below have a `this` of their own
    const world = this;
    return {
      get mustScanFirst() {
        return !world.state.hasScanned;
      },
      get isScanning() {
        return world.state.scan !== undefined;
      },
      get isOverdue() {
        return world.state.nowMs - world.state.scannedAtMs >= POLL_MS;
      },
      isHealthy: true,
      nextTurnInMs: Infinity,
      takeFailure: () => {
        const { scanFailure } = this.state;
        this.state.scanFailure = undefined;
        return scanFailure;
      },
      scanValidForMs: () => {
        const { validity, version, nowMs } = this.state;
        this.state.lacksCapacity = this.free <= 0;
        return validity?.version === version ? Math.max(0, validity.untilMs - nowMs) : 0;
      },
      scan: () => {
        this.state.validity = undefined;
        this.state.scannedAtMs = this.state.nowMs;
        this.state.scan = { version: this.state.version };
        return PENDING as unknown as Promise<void>;
      },
    };
  }
}

export type Mutant = (world: World) => void;
