import type { OneWorkerHint } from '../../store/runtime/store-hints.js';
import type { PresenceReply } from '../../store/reports/report-records.js';
import type { Clock } from '../../core/clock.js';
import { hashText } from '../../core/hash.js';
import type { HandlerRegistry } from './handler-registry.js';

interface LiveWorkersParts {
  readonly clock: Clock;
  readonly worker: string;
  readonly registry: HandlerRegistry;
  readonly pollIntervalMs: number;
}

/** A process that receives notifications and claims jobs. */
interface LiveWorker {
  readonly name: string;
  readonly hash: number;
  /** `undefined`: the same as this process. */
  readonly topics: ReadonlySet<string> | undefined;
  readonly pollIntervalMs: number;
}

/** The turn of this process among `size` processes. */
interface Turn {
  readonly index: number;
  readonly size: number;
}

/** When one process has died, the next poll comes after two steps. Both together are at most `pollInterval` and this time. */
const POLL_GRACE_MS = 1_000;
/** Leaves time for the scan. */
const POLL_FACTOR = 0.9;
/** How often the processes look for expired leases, together. Half as often when one has just died. */
const RESCUE_STEP_MS = 1_000;
/** Due times up to this many polls ahead are known to two processes. */
const POLLS_AHEAD = 2;

/**
 * The live processes, as of the last record of this process's presence, and what they share: each notification is for one of them, and
 * they take turns to poll. A process that is alone, or receives no notifications, does everything itself.
 *
 * All processes compute the same from the same list, so they need no messages. A list may be 20 s old; what the difference can cost is
 * a second claim, or the wait for the next poll.
 */
export class LiveWorkers {
  /** Called when a job was left waiting by the process that should have claimed it. */
  onMissed: () => void = () => undefined;
  private others: readonly LiveWorker[] = [];
  private readonly self: LiveWorker;
  /** One turn for each set of processes that handles one of this process's topics. */
  private turns: readonly Turn[] = [];
  private rescueTurn: Turn | undefined;
  /** The database's clock minus this process's. */
  private clockOffsetMs = 0;

  constructor(private readonly parts: LiveWorkersParts) {
    const { worker, pollIntervalMs } = parts;
    this.self = { name: worker, hash: hashText(worker), topics: undefined, pollIntervalMs };
  }

  /**
   * @param reply `undefined`: this process shares nothing. @param sentMs when the statement of the reply was sent.
   * @returns whether a process is not there any more.
   */
  record(reply: Pick<PresenceReply, 'now' | 'others'> | undefined, sentMs = 0): boolean {
    const { clock } = this.parts;
    const before = this.others;
    this.others = (reply?.others ?? []).map(({ worker, topics, pollIntervalMs }) => ({
      name: worker,
      hash: hashText(worker),
      topics: topics && new Set(topics),
      pollIntervalMs,
    }));
    this.clockOffsetMs = reply ? reply.now.getTime() - (sentMs + clock.now()) / 2 : 0;
    this.rescueTurn = this.turnAmong(this.others);
    this.turns = this.findTurns();
    return before.some(({ name }) => !this.others.some((other) => other.name === name));
  }

  get otherCount(): number {
    return this.others.length;
  }

  /** Whether other processes may claim jobs of the topic. */
  hasOthersFor(topic: string): boolean {
    return this.others.some((other) => handles(other, topic));
  }

  /** Returns 0 when this process should claim the jobs, and 1 when it should look whether the chosen process did. */
  rank(topic: string, { id, sender }: OneWorkerHint): number {
    const hash = hashText(id);
    const own = mix(this.self.hash ^ hash);
    const isBefore = (other: LiveWorker): boolean => String(other.hash) !== sender && mix(other.hash ^ hash) > own;
    return this.others.filter((other) => handles(other, topic) && isBefore(other)).length;
  }

  /** When this process should poll next after `afterMs`. `undefined`: it polls alone. */
  nextPollMs(afterMs: number): number | undefined {
    const times = this.turns.map((turn) => this.nextTurnMs(turn, this.pollStepMs, afterMs));
    return times.length > 0 ? Math.min(...times) : undefined;
  }

  /** Time until this process should look for expired leases. `undefined`: it is the only one that does. */
  nextRescueInMs(): number | undefined {
    const nowMs = this.parts.clock.now();
    return this.rescueTurn && this.nextTurnMs(this.rescueTurn, RESCUE_STEP_MS, nowMs) - nowMs;
  }

  /** How far ahead a scan looks for due times. Processes that poll later find the others. */
  get horizonMs(): number {
    return this.turns.length > 0 ? POLLS_AHEAD * this.pollStepMs : Infinity;
  }

  private get pollStepMs(): number {
    const { pollIntervalMs } = this.parts;
    return POLL_FACTOR * Math.min(pollIntervalMs, (pollIntervalMs + POLL_GRACE_MS) / 2);
  }

  /** In turn `k` since 1970, by the database's clock, process `k mod size` acts. */
  private nextTurnMs({ index, size }: Turn, stepMs: number, afterMs: number): number {
    const current = Math.floor((afterMs + this.clockOffsetMs) / stepMs);
    const turnsAhead = ((index - ((current + 1) % size) + size) % size) + 1;
    return (current + turnsAhead) * stepMs - this.clockOffsetMs;
  }

  private findTurns(): Turn[] {
    const { registry, pollIntervalMs } = this.parts;
    const alike = this.others.filter((other) => other.pollIntervalMs === pollIntervalMs);
    const rings = new Map<string, LiveWorker[]>();
    for (const { topic } of this.others.length > 0 ? registry.claimable() : []) {
      const ring = alike.filter((other) => handles(other, topic));
      rings.set(ring.map(({ name }) => name).join(), ring);
    }
    const turns = [...rings.values()].map((ring) => this.turnAmong(ring));
    // A topic that no other process handles: this process polls alone.
    return turns.includes(undefined) ? [] : (turns as Turn[]);
  }

  private turnAmong(others: readonly LiveWorker[]): Turn | undefined {
    const index = others.filter(({ name }) => name < this.self.name).length;
    return others.length > 0 ? { index, size: others.length + 1 } : undefined;
  }
}

function handles({ topics }: LiveWorker, topic: string): boolean {
  return topics === undefined || topics.has(topic);
}

/** Names a worker in notifications. They do not contain its name, which has the host: every user of the database may listen. */
export function hashWorker(worker: string): string {
  return String(hashText(worker));
}

/** The last steps of MurmurHash3: every bit of the input changes half of the output. */
function mix(hash: number): number {
  let mixed = hash ^ (hash >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
