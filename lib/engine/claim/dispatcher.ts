import type { BackoffBounds } from '../../core/backoff.js';
import { backoffMs } from '../../core/backoff.js';
import type { JobRunner } from '../run/job-runner.js';
import { ClaimCapacity } from './claim-capacity.js';
import { Claimer } from './claimer.js';
import type { EngineParts } from '../engine-parts.js';
import { LaneIndex } from './lane-index.js';
import { PollLoop } from '../poll-loop.js';
import type { WakeListener } from '../wake-signal.js';
import { LaneScanner } from './lane-scanner.js';

type DispatcherParts = Pick<
  EngineParts,
  | 'store'
  | 'clock'
  | 'logger'
  | 'random'
  | 'worker'
  | 'registry'
  | 'wakeSignal'
  | 'concurrency'
  | 'pollIntervalMs'
  | 'leaseMs'
  | 'shutdownTimeoutMs'
> & { readonly runner: JobRunner };

/** Due jobs that a claim did not get, since somebody holds their rows locked, are asked for again, less and less often. */
const LOCKED_PAUSES: BackoffBounds = { minMs: 20, maxMs: 200 };

/**
 * Has due jobs claimed while there are free slots, looks for what is not known, and sleeps until something is due, announced or
 * polled for. It runs no handler itself.
 */
export class Dispatcher implements WakeListener {
  /** Whether it has ever been started. */
  hasStarted = false;

  private readonly book = new LaneIndex();
  private readonly loop: PollLoop;
  private readonly scanner: LaneScanner;
  private readonly room: ClaimCapacity;
  private readonly claimer: Claimer;
  private whenQuiet: (() => void)[] = [];
  /** Since the last claim was sent or waited for, something was announced, or there is room for more. */
  private isAnythingNew = false;
  /** How often in a row it has asked in vain for what somebody holds locked. */
  private timesLocked = 0;
  /** Ends the loop's wait for news or the answer to a scan. */
  private endWait: () => void = () => undefined;

  constructor(private readonly options: DispatcherParts) {
    this.loop = new PollLoop({
      ...options,
      name: 'claiming jobs',
      intervalMs: options.pollIntervalMs,
      work: () => this.round(),
    });
    this.room = new ClaimCapacity(options);
    const { book, room } = this;
    this.scanner = new LaneScanner({
      ...options,
      book,
      room,
      onAnswered: () => this.endWait(),
      onLate: () => this.goOn(),
    });
    this.claimer = new Claimer({ ...options, book, room, reach: () => this.scanner.reach });
    options.wakeSignal.listen(this);
    options.runner.whenChanged(() => {
      this.claimer.sendAhead();
      if (this.room.wasShort || this.whenQuiet.length > 0) {
        this.goOn();
      }
    });
  }

  start(): void {
    this.hasStarted = true;
    if (!this.isClaiming) {
      this.claimer.start();
      this.scanner.start();
      // Nothing was heard while it stood.
      this.wake();
    }
    this.loop.start();
  }

  /** No claim is made from now on; resolves when one under way has been given back. */
  async stop(): Promise<void> {
    if (this.isClaiming) {
      this.claimer.stop();
      this.sayWhatRuns();
    }
    this.options.runner.drain();
    await this.loop.stop();
    await this.claimer.answered();
    await this.scanner.answered();
    // It may have been told to claim again meanwhile.
    if (!this.isClaiming) {
      // Nobody here looks for jobs any more: whoever waits for them to run out has waited long enough.
      this.whenQuiet.splice(0).forEach((resolve) => resolve());
    }
  }

  /** Something may be due: in one lane, since `dueAt` when that is known, in all lanes of a topic, or anywhere. */
  wake(topic?: string, priority?: number, dueAt?: Date): void {
    if (topic !== undefined && !this.isOurs(topic)) {
      return;
    }
    if (priority === undefined) {
      this.scanner.noteHint();
    }
    this.book.arm(topic, priority, dueAt);
    this.goOn();
  }

  /** A job may wait, until then: a scan is to say so. */
  expect(topic: string, priority: number, dueAt: Date): void {
    if (this.isOurs(topic)) {
      this.book.expect(topic, priority, dueAt);
      this.goOn();
    }
  }

  /** The topic was paused or resumed here. Claims that are known to be in vain would make its lanes seem empty. */
  notePause(topic: string, isPaused: boolean): void {
    if (this.isOurs(topic)) {
      this.book.notePause(topic, isPaused);
    }
  }

  /** Resolves when nothing is due for this process and nothing runs in it. */
  quiet(): Promise<void> {
    if (!this.isClaiming) {
      return Promise.resolve();
    }
    this.scanner.lookEverywhere();
    this.wake();
    return new Promise((resolve) => this.whenQuiet.push(resolve));
  }

  /** Topics of this process that have jobs due which nobody has claimed, though they may. */
  async dueTopics(): Promise<string[]> {
    const topics = this.isClaiming ? this.room.topics(this.options.concurrency) : [];
    if (topics.length === 0) {
      return [];
    }
    const { waiting } = await this.options.store.scan(this.book.gaps(topics), this.book.starts(topics, 'full'));
    const due = waiting.filter(({ dueInMs, isPaused }) => dueInMs <= 0 && !isPaused);
    return [...new Set(due.map(({ topic }) => topic))];
  }

  /** One round; answers how long to sleep when nobody wakes it. */
  private async round(): Promise<number | void> {
    const { claimer, scanner } = this;
    while (this.isClaiming) {
      if (scanner.hasYetToLook) {
        // Before the first claim, which begins with the most urgent of the lanes that are known.
        await scanner.scan();
        continue;
      }
      scanner.throwFailure();
      this.isAnythingNew = false;
      const claimed = await claimer.claim();
      if (scanner.isWell) {
        // While there is always something new, the round does not end.
        this.loop.markHealthy();
      }
      if (claimed === 'no room') {
        return this.noteQuiet();
      }
      if (claimed !== 'empty-handed') {
        this.timesLocked = 0;
      }
      if (claimed === 'go on' || claimer.isBusy) {
        if (scanner.isOverdue) {
          void scanner.scan();
        }
        continue;
      }
      const pauseMs = await this.lookAhead(claimed === 'empty-handed');
      if (pauseMs > 0) {
        return pauseMs;
      }
    }
  }

  /**
   * Has a scan say what nobody here knows, unless the last one has, and tells whoever waits for quiet. Answers how long to sleep;
   * 0: there is something to claim by now, and its answer is not waited for.
   */
  private async lookAhead(isEmptyHanded: boolean): Promise<number> {
    const { claimer, scanner } = this;
    if (this.whenQuiet.length > 0 || scanner.knownForMs() === 0) {
      // Before news is heeded: under a flood of hints there would never be one.
      void scanner.scan();
      if (!this.isAnythingNew) {
        await new Promise<void>((resolve) => (this.endWait = resolve));
      }
      if (scanner.isBusy) {
        return 0;
      }
      if (isEmptyHanded && !scanner.hasFoundLanes && claimer.isAnyDue()) {
        return this.lockedPauseMs();
      }
    }
    this.timesLocked = 0;
    const knownForMs = scanner.knownForMs();
    if (knownForMs > 0) {
      this.noteQuiet();
    }
    return knownForMs;
  }

  private lockedPauseMs(): number {
    const { pollIntervalMs, random } = this.options;
    const pauseMs = backoffMs(this.timesLocked, LOCKED_PAUSES, random());
    this.timesLocked += 1;
    // What is due elsewhere in the meantime does not wait for it.
    return Math.min(pauseMs, pollIntervalMs, this.scanner.nextDueInMs());
  }

  /** There may be something to claim. */
  private goOn(): void {
    this.isAnythingNew = true;
    this.endWait();
    this.loop.wake();
  }

  /** With somebody else's work, a book of every topic that was ever enqueued here would only grow. */
  private isOurs(topic: string): boolean {
    return this.options.registry.get(topic) !== undefined;
  }

  private get isClaiming(): boolean {
    return this.claimer.isOn;
  }

  private sayWhatRuns(): void {
    const { runner, logger, shutdownTimeoutMs } = this.options;
    if (runner.count > 0) {
      const works = [...runner.unfinished()].filter(([, { running }]) => running > 0);
      const handlers = works.map(([topic, { running }]) => `'${topic}' (${running})`).join(', ');
      logger.log(`stops; waits up to ${shutdownTimeoutMs} ms for handlers: ${handlers}`);
    }
  }

  private noteQuiet(): void {
    const { runner } = this.options;
    const isIdle = runner.count === 0 && runner.openCount === 0 && !this.claimer.isBusy;
    if (isIdle && !this.claimer.isAnyDue()) {
      this.whenQuiet.splice(0).forEach((resolve) => resolve());
    }
  }
}
