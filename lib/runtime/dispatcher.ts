import type { Clock } from '../core/clock.js';
import { StatementCancelledError } from '../core/errors.js';
import type { Claim } from '../core/job.js';
import type { JobsLogger } from '../core/logger.js';
import type { ClaimRequest, JobStore } from '../store/job-store.js';
import type { Attempts } from './attempts.js';
import { ClaimRoom } from './claim-room.js';
import type { HandlerRegistry } from './handler-registry.js';
import type { Reach } from './known-lane.js';
import type { TopicRoom } from './lane-book.js';
import type { PlannedLane } from './lane-book.js';
import { LaneBook } from './lane-book.js';
import { Periodic } from './periodic.js';
import { ScanCost } from './scan-cost.js';

export interface DispatcherOptions {
  readonly store: JobStore;
  readonly clock: Clock;
  readonly logger: JobsLogger;
  readonly random: () => number;
  readonly registry: HandlerRegistry;
  readonly attempts: Attempts;
  readonly concurrency: number;
  readonly pollIntervalMs: number;
  readonly leaseMs: number;
  /** For how long handlers are waited for at the end. */
  readonly shutdownTimeoutMs: number;
  /** What claimed rows say in `locked_by`. */
  readonly worker: string;
}

/** Due jobs that a claim did not get, since somebody holds their rows locked, are asked for again after this. */
const LOCKED_PAUSE_MS = 10;
/** After a hint that names no lane, a busy process looks beside its backlog this soon. */
const HINTED_SURVEY_MS = 50;
/** Without one it does so this often at least: what a survey costs says whether claims need lower bounds. */
const SURVEY_REST_MAX_MS = 1_000;

type PlannedClaim = ClaimRequest & { readonly lanes: readonly PlannedLane[] };

/** What came of one claim: there was no room for any, nothing is known to be due, it has got nothing, or it was worth it. */
type Claimed = 'no room' | 'nothing known' | 'empty-handed' | 'go on';

/**
 * Claims due jobs while there are free slots, and sleeps until one is due, announced or polled for. It decides how many
 * and which; it runs no handler itself.
 */
export class Dispatcher {
  /** Whether it has ever been started. */
  hasStarted = false;

  private readonly book = new LaneBook();
  private readonly loop: Periodic;
  private isClaiming = false;
  private surveyedAtMs = -Infinity;
  private isHinted = false;
  private readonly cost: ScanCost;
  private lookBelow: Promise<void> | undefined;
  private readonly room: ClaimRoom;
  /** Claims that are not answered yet, in the order in which they were sent. */
  private readonly underWay: Promise<Claimed>[] = [];
  /** The last claim got all that it asked for: more is due. */
  private isBacklogged = false;
  /** Of a claim, not told yet. */
  private failure: { readonly error: unknown } | undefined;
  private whenQuiet: (() => void)[] = [];

  constructor(private readonly options: DispatcherOptions) {
    this.loop = new Periodic({
      ...options,
      name: 'claiming of jobs',
      intervalMs: options.pollIntervalMs,
      work: () => this.round(),
    });
    this.cost = new ScanCost(options.clock, options.pollIntervalMs);
    this.room = new ClaimRoom(options);
    options.attempts.whenChanged(() => {
      this.sendAhead();
      this.loop.wake();
    });
  }

  start(): void {
    this.hasStarted = true;
    this.isClaiming = true;
    this.failure = undefined;
    this.loop.start();
  }

  /** No claim is made from now on; resolves when one under way has been given back. */
  async stop(): Promise<void> {
    if (this.isClaiming) {
      this.isClaiming = false;
      this.sayWhatRuns();
    }
    this.options.attempts.windUp();
    await this.loop.stop();
    await Promise.all(this.underWay);
    await this.lookBelow;
    // It may have been told to claim again meanwhile.
    if (!this.isClaiming) {
      // Nobody here looks for jobs any more: whoever waits for them to run out has waited long enough.
      this.whenQuiet.splice(0).forEach((resolve) => resolve());
    }
  }

  /** Something may be due: in one lane, since `dueAt` when that is known, in all lanes of a topic, or anywhere. */
  wake(topic?: string, priority?: number, dueAt?: Date): void {
    if (topic !== undefined && !this.options.registry.get(topic)) {
      // Somebody else's work: a book of every topic that was ever enqueued here would only grow.
      return;
    }
    this.isHinted ||= priority === undefined;
    this.book.arm(topic, priority, dueAt);
    this.loop.wake();
  }

  /** A job that this process had goes on waiting, until then. */
  expect(topic: string, priority: number, dueAt: Date): void {
    this.book.expect(topic, priority, dueAt);
  }

  /** Resolves when nothing is due for this process and nothing runs in it. */
  quiet(): Promise<void> {
    if (!this.isClaiming) {
      return Promise.resolve();
    }
    this.cost.forget();
    this.wake();
    return new Promise((resolve) => this.whenQuiet.push(resolve));
  }

  /** Topics of this process that have jobs due which nobody has claimed, though they may. */
  async dueTopics(): Promise<string[]> {
    const topics = this.isClaiming ? this.room.topics(this.options.concurrency) : [];
    if (topics.length === 0) {
      return [];
    }
    const { waiting } = await this.options.store.survey(this.book.gaps(topics), this.book.starts(topics, 'full'));
    const due = waiting.filter(({ dueInMs, isPaused }) => dueInMs <= 0 && !isPaused);
    return [...new Set(due.map(({ topic }) => topic))];
  }

  /** One round; answers how long to sleep when nobody wakes it. */
  private async round(): Promise<number | void> {
    while (this.isClaiming) {
      const claimed = await this.claim();
      if (claimed === 'no room') {
        return this.noteQuiet();
      }
      if (claimed === 'go on' || this.underWay.length > 0) {
        await this.surveyWhenDue();
        continue;
      }
      const pauseMs = await this.survey(claimed === 'empty-handed');
      if (pauseMs > 0) {
        return pauseMs;
      }
    }
  }

  /** Looks beside a backlog too: what is more urgent than all of it may stand in a lane nobody here knows. */
  private async surveyWhenDue(): Promise<void> {
    const { clock, pollIntervalMs } = this.options;
    const restMs = Math.min(pollIntervalMs, this.isHinted ? HINTED_SURVEY_MS : SURVEY_REST_MAX_MS);
    if (clock.now() - this.surveyedAtMs >= restMs) {
      await this.survey(false);
    }
  }

  private async claim(): Promise<Claimed> {
    const refusal = this.underWay.length === 0 && this.send();
    if (refusal) {
      return refusal;
    }
    this.sendAhead();
    const claimed = await this.underWay[0]!;
    const { failure } = this;
    this.failure = undefined;
    if (failure) {
      throw failure.error;
    }
    return claimed;
  }

  /** While more is due than a claim brings, the next one is sent before the last one is answered. */
  private sendAhead(): void {
    const mayBe = this.isBacklogged && this.isClaiming && !this.failure && this.underWay.length > 0;
    while (mayBe && this.room.isForAnother && !this.send());
  }

  /** Sends a claim, or says why not. */
  private send(): 'no room' | 'nothing known' | undefined {
    const { clock, leaseMs, worker } = this.options;
    const { limit } = this.room;
    const rooms = this.room.rooms(limit);
    if (rooms.length === 0) {
      return 'no room';
    }
    const lanes = this.book.plan(rooms, limit, clock.now(), this.reach);
    if (lanes.length === 0) {
      return 'nothing known';
    }
    const claiming = this.bring({ lanes, limit, leaseMs, worker }, this.book.ask());
    this.underWay.push(claiming);
    void claiming.then(() => this.underWay.splice(this.underWay.indexOf(claiming), 1));
    return undefined;
  }

  /** Never fails: nobody may be waiting. What it failed for is thrown by the next round. */
  private async bring(request: PlannedClaim, plannedIn: number): Promise<Claimed> {
    const { store, clock, leaseMs } = this.options;
    const askedMs = clock.now();
    this.room.reserve(request);
    try {
      const claims = await store.claim(request);
      this.room.noteAnswer(request, clock.now() - askedMs > leaseMs / 3);
      this.take(claims, askedMs + leaseMs);
      return this.learnFrom(request, claims, plannedIn);
    } catch (error) {
      this.room.noteAnswer(request, error instanceof StatementCancelledError);
      this.isBacklogged = false;
      this.failure ??= { error };
      return 'empty-handed';
    }
  }

  private take(claims: Claim[], leaseEndsMs: number): void {
    const { attempts } = this.options;
    claims.sort((a, b) => a.priority - b.priority || a.runAt.getTime() - b.runAt.getTime() || (a.id < b.id ? -1 : 1));
    for (const claim of claims) {
      this.room.noteLength(claim.payloadLength);
      if (this.isClaiming) {
        attempts.take(claim, leaseEndsMs);
      } else {
        attempts.giveBack(claim, leaseEndsMs);
      }
    }
  }

  private learnFrom({ lanes, limit }: PlannedClaim, claims: readonly Claim[], plannedIn: number): Claimed {
    this.isBacklogged = claims.length === limit;
    this.book.advance(lanes, claims, plannedIn);
    if (claims.length < limit) {
      this.book.settle(lanes, claims, plannedIn);
    }
    return claims.length > 0 || this.isAnyDue() ? 'go on' : 'empty-handed';
  }

  /** Looks for lanes that are not known and for what is due next; answers how long to sleep, 0 to claim at once. */
  private async survey(isEmptyHanded: boolean): Promise<number> {
    const { store, clock, pollIntervalMs, random } = this.options;
    const topics = this.room.topics();
    const { reach } = this;
    this.isHinted = false;
    this.surveyedAtMs = clock.now();
    if (reach === 'full') {
      this.cost.noteAsked();
    }
    const askedIn = this.book.ask();
    const survey = await store.survey(this.book.gaps(topics), this.book.starts(topics, reach));
    const nowMs = clock.now();
    if (reach === 'full') {
      this.cost.noteFull(survey.tookMs);
    } else {
      this.lookBelowWhenDue(topics);
    }
    if (this.book.learn(topics, survey, nowMs, { reach, askedIn })) {
      // Behind the lanes that were found there may be others: a look shows the first of each gap only.
      return 0;
    }
    // What was announced meanwhile, a retry for example, the survey may not have seen: another one follows.
    if (!this.book.hasNewsSince(askedIn)) {
      this.noteQuiet();
    }
    const dueInMs = this.book.nextDueAtMs(this.room.rooms()) - nowMs;
    if (dueInMs > 0) {
      const pollInMs = pollIntervalMs * (0.9 + random() / 5);
      return Math.min(dueInMs, this.reach === 'full' ? pollInMs : Math.min(pollInMs, Math.max(1, this.cost.restMs)));
    }
    return isEmptyHanded ? LOCKED_PAUSE_MS : 0;
  }

  /** A clean index costs nothing to begin at its start; otherwise claims and surveys begin where the last ones ended. */
  private get reach(): Reach {
    return this.cost.isHigh ? 'bounded' : 'full';
  }

  /**
   * While claims are bounded: looks from the start of the index for what committed late below the bounds. Claims go on
   * meanwhile, since it may take long.
   */
  private lookBelowWhenDue(topics: readonly TopicRoom[]): void {
    if (!this.lookBelow && this.cost.restMs <= 0) {
      this.lookBelow = this.lookBelowBounds(topics).finally(() => (this.lookBelow = undefined));
    }
  }

  private async lookBelowBounds(topics: readonly TopicRoom[]): Promise<void> {
    const { store, logger } = this.options;
    const bounded = this.book.starts(topics, 'bounded');
    const askedIn = this.book.currentRound;
    this.cost.noteAsked();
    try {
      const survey = await store.survey([], this.book.starts(topics, 'full'));
      this.cost.noteFull(survey.tookMs);
      if (this.book.lookedBelow(bounded, survey, askedIn)) {
        this.loop.wake();
      }
    } catch (error) {
      // The claims themselves say that the database does not answer.
      logger.debug(`no look below the bounds of claims: ${String(error)}`);
    }
  }

  private sayWhatRuns(): void {
    const { attempts, logger, shutdownTimeoutMs } = this.options;
    if (attempts.count > 0) {
      const works = [...attempts.unfinished()].filter(([, { running }]) => running > 0);
      const handlers = works.map(([topic, { running }]) => `'${topic}' (${running})`).join(', ');
      logger.log(`stops; waits up to ${shutdownTimeoutMs} ms for handlers: ${handlers}`);
    }
  }

  private noteQuiet(): void {
    const { attempts } = this.options;
    const isIdle = attempts.count === 0 && attempts.openCount === 0 && this.underWay.length === 0;
    if (isIdle && !this.isAnyDue()) {
      this.whenQuiet.splice(0).forEach((resolve) => resolve());
    }
  }

  private isAnyDue(): boolean {
    return this.book.isAnyDue(this.room.rooms(), this.options.clock.now());
  }
}
