import { toErrorMessage } from '../../core/error-text.js';
import { InvalidOptionsError } from '../../core/errors.js';
import { readListFilter } from '../../core/list-filter.js';
import { findNearest } from '../../core/suggestion.js';
import { toFullGap } from '../../store/jobs/job-records.js';
import { runDetached } from '../../store/runtime/detached-context.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import { PollLoop } from '../runtime/poll-loop.js';

type UnhandledTopicsParts = Pick<
  EngineParts,
  'store' | 'clock' | 'logger' | 'failureLog' | 'random' | 'registry' | 'role'
>;

const INTERVAL_MS = 60_000;
const LISTED_MAX = 10;
/** Age at which the list of live topics is read again. */
const LIST_AGE_MS = 30_000;
/** Shortest time between two reads of that list. */
const LIST_PAUSE_MS = 250;
/** A topic counts as live for this long after it was last listed: a deployment restarts workers. */
const LIVE_MS = 60_000;
/** A call logs a topic once in this time. */
const QUIET_MS = 600_000;
/** Calls log at most this many topics in that time: callers over HTTP choose the names. */
const NAMED_MAX = 100;

/** A topic that a call uses, and the path of its job in a list. */
interface TopicUse {
  readonly topic: string;
  readonly path?: string | undefined;
}

/**
 * Finds topics that no live process handles: a mistyped name, or a handler that was removed too early. Their jobs wait, because a
 * process with a handler may come.
 *
 * Calls that use a topic check it at once. In workers a loop also checks the due jobs once a minute. It names a topic after two
 * checks in a row, so that a deployment causes no warning, and only once until that changes.
 */
export class UnhandledTopics {
  private readonly loop: PollLoop;
  /** When each topic was last listed as handled by a live process. */
  private readonly live = new Map<string, number>();
  private listedAtMs = -Infinity;
  private lastRead: Promise<unknown> = Promise.resolve();
  /** A read that has not begun yet. */
  private nextRead: Promise<void> | undefined;
  /** Topics that calls used, until the list is read. */
  private readonly used = new Set<string>();
  /** When a call has logged each topic. */
  private readonly named = new Map<string, number>();
  private isFullSinceMs = -Infinity;
  private isChecking = false;
  /** Before a worker starts, its handlers may not be registered yet. */
  private areHandlersKnown: boolean;
  private found: ReadonlySet<string> = new Set();
  private reported: ReadonlySet<string> = new Set();

  constructor(private readonly parts: UnhandledTopicsParts) {
    this.areHandlersKnown = parts.role === 'producer';
    this.loop = new PollLoop({
      ...parts,
      name: 'check for topics without a handler',
      intervalMs: INTERVAL_MS,
      // Processes that start together do not check together.
      initialDelayMs: INTERVAL_MS * (1 - parts.random()),
      work: () => this.check(),
    });
  }

  start(): void {
    this.markHandlersKnown();
    this.loop.start();
  }

  /** All handlers of this process are registered. Until then every topic counts as handled. */
  markHandlersKnown(): void {
    this.areHandlersKnown = true;
    if (this.used.size > 0) {
      this.checkUsed();
    }
  }

  stop(): Promise<void> {
    return this.loop.stop();
  }

  /** Whether `ensureHandled` needs no query. Costs one lookup for a topic of this process. */
  isHandled(topic: string): boolean {
    return !this.areHandlersKnown || this.parts.registry.claims(topic) || this.isLive(topic);
  }

  /**
   * Reads the list of live topics again if it lacks one of these. For calls with the option `strictTopics`, before they write.
   *
   * @throws InvalidOptionsError for a topic that no live process handles; QueueUnavailableError.
   */
  async ensureHandled(uses: readonly TopicUse[]): Promise<void> {
    if (uses.every(({ topic }) => this.isHandled(topic))) {
      return;
    }
    await this.readList();
    const unhandled = uses.find(({ topic }) => !this.isHandled(topic));
    if (unhandled) {
      const { topic, path } = unhandled;
      throw new InvalidOptionsError(
        path === undefined ? 'topic' : `${path}.topic`,
        `no live process handles '${topic}'${this.suggest([topic])}`,
      );
    }
  }

  /** The same for an action on a topic. One with waiting jobs may be used while all its workers are down. */
  async ensureHandledOrWaiting(topic: string): Promise<void> {
    if (!this.isHandled(topic) && !(await this.parts.store.reports.waitingTopics()).includes(topic)) {
      await this.ensureHandled([{ topic }]);
    }
  }

  /** Logs the topic if no live process handles it. Called after a call that used it; neither delays nor fails the call. */
  onUsed(topic: string): void {
    if (this.parts.registry.claims(topic)) {
      return;
    }
    if (this.isLive(topic)) {
      if (this.parts.clock.now() - this.listedAtMs >= LIST_AGE_MS) {
        this.checkUsed();
      }
    } else if (!this.isNamed(topic) && !this.used.has(topic) && this.used.size < NAMED_MAX) {
      this.used.add(topic);
      if (this.areHandlersKnown) {
        this.checkUsed();
      }
    }
  }

  /** Describes the due jobs that neither this process nor another live one handles, for `whenIdle`. */
  async describeDue(): Promise<string | undefined> {
    const { reports } = this.parts.store;
    const waiting = (await reports.waitingTopics()).filter((topic) => !this.parts.registry.get(topic));
    const live = waiting.length === 0 ? undefined : await this.read();
    const due = new Map<string, number>();
    for (const topic of waiting.filter((each) => !live!.has(each)).slice(0, LISTED_MAX)) {
      const { total } = await reports.list({ ...DUE_JOBS, topics: [topic] });
      if (total > 0) {
        due.set(topic, total);
      }
    }
    const counts = [...due].map(([topic, jobs]) => `${jobs === 1 ? '1 job' : `${jobs} jobs`} of '${topic}'`);
    const verbs = counts.length === 1 && counts[0]!.startsWith('1 job ') ? 'is due and has' : 'are due and have';
    return counts.length === 0
      ? undefined
      : `${counts.join(' and ')} ${verbs} no handler in a live process${this.suggest([...due.keys()])}`;
  }

  /** One pass of the loop. */
  async check(): Promise<void> {
    const unhandled = await this.findDue();
    const lasting = unhandled.filter((topic) => this.found.has(topic));
    const fresh = lasting.filter((topic) => !this.isNamed(topic));
    this.found = new Set(unhandled);
    this.reported = new Set(lasting);
    if (fresh.length > 0) {
      this.log(fresh);
    }
  }

  private async findDue(): Promise<string[]> {
    const { store } = this.parts;
    const waiting = await store.reports.waitingTopics();
    if (waiting.length === 0) {
      return [];
    }
    const live = await this.read();
    const unhandled = waiting.filter((topic) => !live.has(topic));
    if (unhandled.length === 0) {
      return [];
    }
    const scan = await store.scan(unhandled.map(toFullGap));
    const lanes = [...scan.waiting, ...scan.keyed];
    const due = new Set(lanes.filter(({ dueInMs }) => dueInMs <= 0).map(({ topic }) => topic));
    return unhandled.filter((topic) => due.has(topic));
  }

  private isLive(topic: string): boolean {
    const seenAtMs = this.live.get(topic);
    return seenAtMs !== undefined && this.parts.clock.now() - seenAtMs < LIVE_MS;
  }

  private isNamed(topic: string): boolean {
    const atMs = this.named.get(topic);
    return (atMs !== undefined && this.parts.clock.now() - atMs < QUIET_MS) || this.reported.has(topic);
  }

  /** Reads the list, then logs the used topics that it lacks. */
  private checkUsed(): void {
    if (this.isChecking) {
      return;
    }
    this.isChecking = true;
    void this.readList()
      .then(() => this.logUsed())
      .catch((error: unknown) => {
        this.used.clear();
        this.parts.logger.debug(`could not check whether topics have a handler: ${toErrorMessage(error)}`);
      })
      .finally(() => (this.isChecking = false));
  }

  private logUsed(): void {
    const unhandled = [...this.used].filter((topic) => !this.isHandled(topic) && !this.isNamed(topic));
    this.used.clear();
    for (const topic of unhandled.filter(() => this.hasRoom())) {
      this.named.set(topic, this.parts.clock.now());
      this.log([topic]);
    }
  }

  /** Whether another topic may be logged now. */
  private hasRoom(): boolean {
    const { clock, logger } = this.parts;
    const nowMs = clock.now();
    if (this.named.size >= NAMED_MAX) {
      [...this.named].filter(([, atMs]) => nowMs - atMs >= QUIET_MS).forEach(([topic]) => this.named.delete(topic));
    }
    if (this.named.size < NAMED_MAX) {
      return true;
    }
    if (nowMs - this.isFullSinceMs >= QUIET_MS) {
      this.isFullSinceMs = nowMs;
      logger.warn(`no live process handles some other topics, too; ${NAMED_MAX} are named in 10 minutes`);
    }
    return false;
  }

  /** Reads the list, not too often. Calls share a read that has not begun yet. */
  private readList(): Promise<void> {
    // Detached: the call that needs it first may be in a transaction of the application.
    return (this.nextRead ??= runDetached(() => this.readAfterPause()));
  }

  private async readAfterPause(): Promise<void> {
    const { clock } = this.parts;
    await this.lastRead;
    const pauseMs = this.listedAtMs + LIST_PAUSE_MS - clock.now();
    if (pauseMs > 0) {
      await new Promise<void>((resolve) => void clock.schedule(pauseMs, resolve));
    }
    this.nextRead = undefined;
    const read = this.read();
    this.lastRead = read.catch(() => undefined);
    await read;
  }

  /** Returns the topics that live processes handle. */
  private async read(): Promise<ReadonlySet<string>> {
    const { clock, store } = this.parts;
    this.listedAtMs = clock.now();
    const topics = new Set(await store.reports.servedTopics());
    const nowMs = clock.now();
    [...this.live].filter(([, seenAtMs]) => nowMs - seenAtMs >= LIVE_MS).forEach(([topic]) => this.live.delete(topic));
    for (const topic of topics) {
      this.live.set(topic, nowMs);
      this.named.delete(topic);
    }
    return topics;
  }

  private log(topics: readonly string[]): void {
    const hint = this.suggest(topics);
    const whose = topics.length === 1 ? 'its' : 'their';
    const end = `${whose} jobs wait until one does`;
    this.parts.logger.warn(
      `no live process handles ${list(topics)}${hint ? `${hint} ${end[0]!.toUpperCase()}${end.slice(1)}` : `; ${end}`}`,
    );
  }

  /** Returns `; did you mean 'mail'?`, or an empty text. */
  private suggest(topics: readonly string[]): string {
    const known = [...new Set([...this.parts.registry.topics(), ...this.live.keys()])];
    const nearest = topics.slice(0, LISTED_MAX).map((topic) => findNearest(topic, known));
    const names = nearest.filter((name) => name !== undefined && !topics.includes(name)) as string[];
    return names.length === 0 ? '' : `; did you mean ${list([...new Set(names)])}?`;
  }
}

function list(topics: readonly string[]): string {
  const named = topics.slice(0, LISTED_MAX).map((topic) => `'${topic}'`);
  const more = topics.length - named.length;
  return named.join(', ') + (more > 0 ? ` and ${more} other topics` : '');
}

/** The first of a topic's due jobs, with their number. */
const DUE_JOBS = readListFilter({ due: true, limit: 1 });
