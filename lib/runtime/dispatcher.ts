import type { Clock } from '../core/clock.js';
import { messageOf } from '../core/errors.js';
import type { JobsLogger } from '../core/logger.js';
import type { JobStore } from '../store/job-store.js';
import type { Attempts } from './attempts.js';
import { ClaimRoom } from './claim-room.js';
import { Claimer } from './claimer.js';
import type { HandlerRegistry } from './handler-registry.js';
import type { Reach } from './known-lane.js';
import type { TopicRoom } from './lane-book.js';
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

/**
 * Has due jobs claimed while there are free slots, looks for what is not known, and sleeps until something is due, announced or
 * polled for. It runs no handler itself.
 */
export class Dispatcher {
  /** Whether it has ever been started. */
  hasStarted = false;

  private readonly book = new LaneBook();
  private readonly loop: Periodic;
  private surveyedAtMs = -Infinity;
  private isHinted = false;
  private readonly cost: ScanCost;
  private lookBelow: Promise<void> | undefined;
  private readonly room: ClaimRoom;
  private readonly claimer: Claimer;
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
    this.claimer = new Claimer({ ...options, book: this.book, room: this.room, reach: () => this.reach });
    options.attempts.whenChanged(() => {
      this.claimer.sendAhead();
      if (this.room.wasShort || this.whenQuiet.length > 0) {
        this.loop.wake();
      }
    });
  }

  start(): void {
    this.hasStarted = true;
    this.claimer.start();
    this.loop.start();
  }

  /** No claim is made from now on; resolves when one under way has been given back. */
  async stop(): Promise<void> {
    if (this.isClaiming) {
      this.claimer.stop();
      this.sayWhatRuns();
    }
    this.options.attempts.windUp();
    await this.loop.stop();
    await this.claimer.answered();
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
    this.loop.wake();
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
      const claimed = await this.claimer.claim();
      if (claimed === 'no room') {
        return this.noteQuiet();
      }
      if (claimed === 'go on' || this.claimer.isBusy) {
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
      logger.debug(`no look below the bounds of claims: ${messageOf(error)}`);
    }
  }

  private get isClaiming(): boolean {
    return this.claimer.isOn;
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
    const isIdle = attempts.count === 0 && attempts.openCount === 0 && !this.claimer.isBusy;
    if (isIdle && !this.claimer.isAnyDue()) {
      this.whenQuiet.splice(0).forEach((resolve) => resolve());
    }
  }
}
