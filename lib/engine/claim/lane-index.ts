import type { Claim } from '../../core/job.js';
import type { Lane, LaneGap, LaneStart, LaneScan } from '../../store/job-store.js';
import { gapsBetween, laneKey } from '../../store/lanes.js';
import type { Reach } from './lane-state.js';
import { LaneState } from './lane-state.js';
import { COMMIT_MARGIN_MS } from './scan-cost.js';

/** One topic that may be claimed now. */
export interface TopicCapacity {
  readonly topic: string;
  /** How many more jobs of it may run here. */
  readonly room: number;
  /** Kept in the book even when nothing waits in it: where new jobs are expected. */
  readonly usualPriority: number;
  /** Of what several topics have together; what one of them is given, the others have no more. */
  readonly shared?: SharedRoom | undefined;
}

/** How many more jobs may run here of several topics together. */
export interface SharedRoom {
  readonly room: number;
}

export interface PlannedLane extends Lane {
  readonly shared: SharedRoom | undefined;
}

/** How a scan was asked, and in which round. */
interface Asked {
  readonly reach: Reach;
  readonly askedIn: number;
}

/** What was heard of a topic last: claims would get nothing while it is paused. */
interface PauseNews {
  readonly isPaused: boolean;
  /** The round in which that was said, here or in the answer to a scan. */
  readonly saidIn: number;
  readonly isSaidHere: boolean;
}

/** Lanes asked in one claim: each costs the database a look into the index. */
const LANES_MAX = 256;

/**
 * What this process knows of waiting work: lanes of a topic and priority, and which of them may have due jobs. Claims
 * ask known lanes only; scans find the others by looking between them.
 */
export class LaneIndex {
  private readonly lanes = new Map<string, Map<number, LaneState>>();
  private round = 1;
  private askedIn = 1;
  private turn = 0;
  /** When each topic was last the first of its priority that was given jobs. */
  private readonly turns = new Map<string, number>();
  private readonly pauses = new Map<string, PauseNews>();

  /** Something may be due: in one lane, since `dueAt` when that is known, in all lanes of a topic, or anywhere. */
  arm(topic?: string, priority?: number, dueAt?: Date): void {
    this.round += 1;
    if (topic !== undefined && priority !== undefined) {
      const lane = this.lane(topic, priority);
      lane.arm(this.round);
      if (dueAt) {
        lane.announce(dueAt.getTime(), this.round, this.askedIn);
      }
      return;
    }
    for (const lane of this.known(topic)) {
      lane.arm(this.round);
    }
  }

  /** It was paused or resumed here. Nothing of a paused topic is claimed until a scan finds that others have resumed it. */
  notePause(topic: string, isPaused: boolean): void {
    this.round += 1;
    this.pauses.set(topic, { isPaused, saidIn: this.round, isSaidHere: true });
  }

  /** A job will be due then: when the time comes a scan finds it, unless looks begin behind it already. */
  expect(topic: string, priority: number, dueAt: Date): void {
    this.round += 1;
    this.lane(topic, priority).announce(dueAt.getTime(), this.round, this.askedIn);
  }

  /** A claim or a scan is sent now, one after another: what is announced later is not settled by it. Answers its round. */
  ask(): number {
    return (this.askedIn = this.round);
  }

  /** Whether anything was announced, or a claim was answered, since the round in which something was asked. */
  hasNewsSince(askedIn: number): boolean {
    return this.round !== askedIn;
  }

  /** The round of a look that is sent beside claims and scans. */
  get currentRound(): number {
    return this.round;
  }

  /**
   * The lanes to claim from, most urgent first, topics in turn within a priority. A topic with less room than `limit`
   * takes part with one lane, so that its own limit is exact.
   */
  plan(topics: readonly TopicCapacity[], limit: number, nowMs: number, reach: Reach = 'full'): PlannedLane[] {
    const lanes = this.inTurn(topics.filter(({ room }) => room > 0)).flatMap(
      ({ topic, room, usualPriority, shared }) => {
        this.lane(topic, usualPriority);
        const armed = this.claimable(topic)
          .filter((lane) => lane.isDue(nowMs))
          .sort((a, b) => a.priority - b.priority);
        const chosen = room < limit ? armed.slice(0, 1) : armed;
        return chosen.map((lane) => ({ ...lane.startFor(reach), limit: Math.min(room, limit), shared }));
      },
    );
    const urgentFirst = lanes.sort((a, b) => a.priority - b.priority).slice(0, LANES_MAX);
    return withinShared(urgentFirst);
  }

  /** Takes note of whose turn it was, and of how far a claim has come in its lanes; `claims` in the order of `runAt`. */
  advance(lanes: readonly PlannedLane[], claims: readonly Claim[], plannedIn: number): void {
    this.round += 1;
    this.noteTurns(lanes, claims);
    for (const { topic, priority, runAt } of claims) {
      this.lane(topic, priority).advance(runAt.getTime(), plannedIn);
    }
  }

  /** Takes note of a claim that had room for more: lanes that gave less than asked have no due job left. */
  settle(lanes: readonly Lane[], claims: readonly Claim[], plannedIn: number): void {
    const taken = new Map<string, number>();
    for (const claim of claims) {
      taken.set(laneKey(claim), (taken.get(laneKey(claim)) ?? 0) + 1);
    }
    // When the claim was made, by the database's clock, which may have been set back.
    const claimedAtMs = claims[0] && claims[0].runAt.getTime() + claims[0].waitedMs;
    for (const { topic, priority, limit } of lanes) {
      const lane = this.lane(topic, priority);
      if ((taken.get(laneKey(lane)) ?? 0) < limit) {
        lane.exhaust(claimedAtMs, plannedIn);
      }
    }
  }

  /** The lanes that are known of these topics. With the gaps between them they cover every priority. */
  starts(topics: readonly TopicCapacity[], reach: Reach): LaneStart[] {
    return topics.flatMap(({ topic, usualPriority }) => {
      this.lane(topic, usualPriority);
      return this.known(topic).map((lane) => lane.startFor(reach));
    });
  }

  /** What lies between the known lanes of these topics. */
  gaps(topics: readonly TopicCapacity[]): LaneGap[] {
    return topics.flatMap(({ topic, usualPriority }) => {
      this.lane(topic, usualPriority);
      return gapsBetween(
        topic,
        this.known(topic).map(({ priority }) => priority),
      );
    });
  }

  /**
   * Takes note of a scan of these topics. Lanes in which it found nothing are forgotten, but the usual ones; after a
   * bounded scan none is, since their bounds keep later scans from walking over what is dead in them.
   *
   * @returns whether it found lanes that were not known.
   */
  learn(
    topics: readonly TopicCapacity[],
    { waiting, at }: LaneScan,
    nowMs: number,
    { reach, askedIn }: Asked = { reach: 'full', askedIn: this.round },
  ): boolean {
    const found = waiting.filter(({ topic, priority }) => !this.lanes.get(topic)?.has(priority));
    found.forEach(({ topic, priority }) => this.lane(topic, priority));
    const pauseOf = new Map(waiting.map(({ topic, isPaused }) => [topic, isPaused]));
    const firstOf = new Map(waiting.map((lane) => [laneKey(lane), lane]));
    for (const { topic, usualPriority } of topics) {
      this.learnPause(topic, pauseOf.get(topic), askedIn);
      for (const lane of this.known(topic)) {
        const first = firstOf.get(laneKey(lane));
        lane.expect(first, nowMs);
        if (reach === 'bounded') {
          continue;
        }
        // Jobs to come are due at this moment at the earliest, whatever waits for a later one.
        lane.raise(at.getTime() + Math.min(0, first?.dueInMs ?? 0) - COMMIT_MARGIN_MS, askedIn);
        if (!first && !lane.isArmed && lane.priority !== usualPriority) {
          this.lanes.get(topic)!.delete(lane.priority);
        }
      }
    }
    return found.length > 0;
  }

  /**
   * Takes note of a full look at lanes while bounded claims went on: what is due below the bound of its lane committed
   * late, was locked, or is paused.
   *
   * @param starts where the lanes began when the look was asked for.
   * @returns whether there was any such job.
   */
  lookedBelow(starts: readonly LaneStart[], { waiting, at }: LaneScan, askedIn = this.round): boolean {
    const firstOf = new Map(waiting.map((lane) => [laneKey(lane), lane]));
    let isAnyLate = false;
    for (const { topic, priority, lowerBound } of starts) {
      const { dueInMs = Infinity, isPaused = false } = firstOf.get(laneKey({ topic, priority })) ?? {};
      const dueAtMs = at.getTime() + Math.floor(Math.min(0, dueInMs));
      if (lowerBound === null) {
        this.lane(topic, priority).raiseBeside(dueAtMs, askedIn);
      } else if (isPaused) {
        this.lane(topic, priority).lower(dueAtMs);
      } else if (dueInMs <= 0 && dueAtMs < Date.parse(lowerBound)) {
        this.arm(topic, priority, new Date(dueAtMs));
        isAnyLate = true;
      }
    }
    return isAnyLate;
  }

  /** Whether anything is known to be, or said to be, due in these topics. */
  isAnyDue(topics: readonly TopicCapacity[], nowMs: number): boolean {
    return topics.some(({ topic }) => this.claimable(topic).some((lane) => lane.isDue(nowMs)));
  }

  /** When the next job of these topics is due, of those that are due after a moment; Infinity when none is known. */
  nextDueAtMs(topics: readonly TopicCapacity[], afterMs = -Infinity): number {
    const dueAtMs = topics.flatMap(({ topic }) => this.claimable(topic).map((lane) => lane.dueAtMs));
    return Math.min(Infinity, ...dueAtMs.filter((atMs) => atMs > afterMs));
  }

  /** Those first that have waited for the longest time to be the first who are given jobs. */
  private inTurn(topics: readonly TopicCapacity[]): TopicCapacity[] {
    const turnOf = ({ topic }: TopicCapacity): number => this.turns.get(topic) ?? 0;
    return [...topics].sort((a, b) => turnOf(a) - turnOf(b));
  }

  /**
   * Of each priority the first topic that was given jobs has had its turn, and the first of those that have room together.
   * Who was only asked for jobs has not: those before it may have taken all slots.
   */
  private noteTurns(lanes: readonly PlannedLane[], claims: readonly Claim[]): void {
    const given = new Set(claims.map(({ topic }) => topic));
    const seen = new Set<number>();
    for (const { topic, priority, shared } of lanes) {
      const group = 2 * priority + (shared ? 1 : 0);
      if (given.has(topic) && !seen.has(group)) {
        seen.add(group);
        this.turn += 1;
        this.turns.set(topic, this.turn);
      }
    }
  }

  /** @param isPaused what a scan has said; `undefined`: nothing of the topic waits, so it cannot know. */
  private learnPause(topic: string, isPaused: boolean | undefined, askedIn: number): void {
    const { saidIn = 0, isSaidHere = false } = this.pauses.get(topic) ?? {};
    if (saidIn <= askedIn && !(isSaidHere && isPaused === undefined)) {
      this.pauses.set(topic, {
        isPaused: isPaused ?? false,
        saidIn: askedIn,
        isSaidHere: isSaidHere && isPaused === true,
      });
    }
  }

  private claimable(topic: string): LaneState[] {
    return this.pauses.get(topic)?.isPaused ? [] : this.known(topic);
  }

  private known(topic?: string): LaneState[] {
    const maps =
      topic === undefined ? [...this.lanes.values()] : [this.lanes.get(topic) ?? new Map<number, LaneState>()];
    return maps.flatMap((lanes) => [...lanes.values()]);
  }

  private lane(topic: string, priority: number): LaneState {
    const lanes = this.lanes.get(topic) ?? new Map<number, LaneState>();
    this.lanes.set(topic, lanes);
    const lane = lanes.get(priority) ?? new LaneState(topic, priority);
    lanes.set(priority, lane);
    return lane;
  }
}

/** Gives what topics have together to the first of these lanes. */
function withinShared(lanes: readonly PlannedLane[]): PlannedLane[] {
  const left = new Map<SharedRoom, number>();
  return lanes.flatMap((lane) => {
    const { shared } = lane;
    if (!shared) {
      return [lane];
    }
    const limit = Math.min(lane.limit, left.get(shared) ?? shared.room);
    left.set(shared, (left.get(shared) ?? shared.room) - limit);
    return limit > 0 ? [{ ...lane, limit }] : [];
  });
}
