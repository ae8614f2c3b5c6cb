import type { Claim } from '../core/job.js';
import type { Lane, LaneGap, WaitingLane } from '../store/job-store.js';

/** One topic that may be claimed now. */
export interface TopicRoom {
  readonly topic: string;
  /** How many more jobs of it may run here. */
  readonly room: number;
  /** Kept in the book even when nothing waits in it: where new jobs are expected. */
  readonly usualPriority: number;
}

interface KnownLane {
  readonly topic: string;
  readonly priority: number;
  /** The round in which somebody said that something may be due; 0 when nothing is known to be. */
  armedIn: number;
  /** When its first job is due, by the process's clock. */
  dueAtMs: number;
}

/** Lanes asked in one claim: each costs the database a look into the index. */
const LANES_MAX = 256;
const PRIORITY_MIN = -1_000;
const PRIORITY_MAX = 1_000;

/**
 * What this process knows of waiting work: lanes of a topic and priority, and which of them may have due jobs. Claims
 * ask known lanes only; surveys find the others by looking between them.
 */
export class LaneBook {
  private readonly lanes = new Map<string, Map<number, KnownLane>>();
  private round = 1;
  private turn = 0;

  /** Something may be due: in one lane, in all lanes of a topic, or anywhere. */
  arm(topic?: string, priority?: number): void {
    this.round += 1;
    if (topic !== undefined && priority !== undefined) {
      this.lane(topic, priority).armedIn = this.round;
      return;
    }
    for (const lane of this.known(topic)) {
      lane.armedIn = this.round;
    }
  }

  /**
   * The lanes to claim from, most urgent first, topics in turn within a priority. A topic with less room than `limit`
   * takes part with one lane, so that its own limit is exact.
   */
  plan(topics: readonly TopicRoom[], limit: number, nowMs: number): Lane[] {
    const rotated = this.rotate(topics.filter(({ room }) => room > 0));
    const lanes = rotated.flatMap(({ topic, room, usualPriority }) => {
      this.lane(topic, usualPriority);
      const armed = this.known(topic)
        .filter((lane) => lane.armedIn > 0 || lane.dueAtMs <= nowMs)
        .sort((a, b) => a.priority - b.priority);
      const chosen = room < limit ? armed.slice(0, 1) : armed;
      return chosen.map(({ priority }) => ({ topic, priority, lowerBound: null, limit: Math.min(room, limit) }));
    });
    return lanes.sort((a, b) => a.priority - b.priority).slice(0, LANES_MAX);
  }

  /** The round a plan belongs to: what is armed later is not settled by its claim. */
  get currentRound(): number {
    return this.round;
  }

  /** Takes note of a claim that had room for more: lanes that gave less than asked have no due job left. */
  settle(lanes: readonly Lane[], claims: readonly Claim[], plannedIn: number): void {
    const taken = new Map<string, number>();
    for (const claim of claims) {
      taken.set(keyOf(claim), (taken.get(keyOf(claim)) ?? 0) + 1);
    }
    for (const { topic, priority, limit } of lanes) {
      const lane = this.lane(topic, priority);
      if ((taken.get(keyOf(lane)) ?? 0) < limit && lane.armedIn <= plannedIn) {
        lane.armedIn = 0;
        lane.dueAtMs = Infinity;
      }
    }
  }

  /** Each known lane and each gap between them: together they cover every priority of these topics. */
  gaps(topics: readonly TopicRoom[]): LaneGap[] {
    return topics.flatMap(({ topic, usualPriority }) => {
      this.lane(topic, usualPriority);
      const priorities = this.known(topic)
        .map(({ priority }) => priority)
        .sort((a, b) => a - b);
      const gaps: LaneGap[] = [];
      let after = PRIORITY_MIN - 1;
      for (const priority of priorities) {
        gaps.push({ topic, after, before: priority }, { topic, after: priority - 1, before: priority + 1 });
        after = priority;
      }
      gaps.push({ topic, after, before: PRIORITY_MAX + 1 });
      return gaps.filter((gap) => gap.before - gap.after > 1);
    });
  }

  /**
   * Takes note of a survey of these topics. Lanes without waiting jobs are forgotten, but the usual ones.
   *
   * @returns whether it found lanes that were not known.
   */
  learn(topics: readonly TopicRoom[], waiting: readonly WaitingLane[], nowMs: number): boolean {
    const found = waiting.filter(({ topic, priority }) => !this.lanes.get(topic)?.has(priority));
    const firstOf = new Map(waiting.map((lane) => [keyOf(lane), lane]));
    for (const { topic, usualPriority } of topics) {
      for (const lane of this.known(topic)) {
        const first = firstOf.get(keyOf(lane));
        lane.dueAtMs = first ? nowMs + first.dueInMs : Infinity;
        if (!first && lane.armedIn === 0 && lane.priority !== usualPriority) {
          this.lanes.get(topic)!.delete(lane.priority);
        }
      }
    }
    for (const { topic, priority, dueInMs } of found) {
      this.lane(topic, priority).dueAtMs = nowMs + dueInMs;
    }
    return found.length > 0;
  }

  /** Whether anything is known to be, or said to be, due in these topics. */
  isAnyDue(topics: readonly TopicRoom[], nowMs: number): boolean {
    return topics.some(({ topic }) => this.known(topic).some((lane) => lane.armedIn > 0 || lane.dueAtMs <= nowMs));
  }

  /** When the next job of these topics is due; Infinity when none is known. */
  nextDueAtMs(topics: readonly TopicRoom[]): number {
    return Math.min(Infinity, ...topics.flatMap(({ topic }) => this.known(topic).map((lane) => lane.dueAtMs)));
  }

  private rotate(topics: readonly TopicRoom[]): TopicRoom[] {
    const start = topics.length === 0 ? 0 : this.turn % topics.length;
    this.turn += 1;
    return [...topics.slice(start), ...topics.slice(0, start)];
  }

  private known(topic?: string): KnownLane[] {
    const maps =
      topic === undefined ? [...this.lanes.values()] : [this.lanes.get(topic) ?? new Map<number, KnownLane>()];
    return maps.flatMap((lanes) => [...lanes.values()]);
  }

  private lane(topic: string, priority: number): KnownLane {
    const lanes = this.lanes.get(topic) ?? new Map<number, KnownLane>();
    this.lanes.set(topic, lanes);
    const lane = lanes.get(priority) ?? { topic, priority, armedIn: 0, dueAtMs: Infinity };
    lanes.set(priority, lane);
    return lane;
  }
}

function keyOf({ topic, priority }: { readonly topic: string; readonly priority: number }): string {
  return `${priority} ${topic}`;
}
