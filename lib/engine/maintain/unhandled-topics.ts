import { toFullGap } from '../../store/store-records.js';
import type { EngineParts } from '../engine-parts.js';
import { PollLoop } from '../poll-loop.js';

type UnhandledTopicsParts = Pick<EngineParts, 'store' | 'clock' | 'logger' | 'random'>;

const INTERVAL_MS = 60_000;
const NAMED_MAX = 10;

/**
 * Warns when jobs are due that no live process has a handler for: a mistyped topic, or a handler that was removed too early.
 * The jobs wait, because a process with a handler may come.
 *
 * It names a topic after two checks in a row, so that a deployment causes no warning, and only once until that changes. A check
 * of an idle queue is one statement.
 */
export class UnhandledTopicsCheck {
  private readonly loop: PollLoop;
  private found: ReadonlySet<string> = new Set();
  private named: ReadonlySet<string> = new Set();

  constructor(private readonly parts: UnhandledTopicsParts) {
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
    this.loop.start();
  }

  stop(): Promise<void> {
    return this.loop.stop();
  }

  async check(): Promise<void> {
    const unhandled = await this.findUnhandled();
    const lasting = unhandled.filter((topic) => this.found.has(topic));
    const fresh = lasting.filter((topic) => !this.named.has(topic));
    this.found = new Set(unhandled);
    this.named = new Set(lasting);
    if (fresh.length > 0) {
      this.parts.logger.warn(
        `jobs of ${list(fresh)} are due, and no live process has a handler for them; check the names of the topics, or start a worker with the handler`,
      );
    }
  }

  private async findUnhandled(): Promise<string[]> {
    const { store } = this.parts;
    const waiting = await store.reports.waitingTopics();
    if (waiting.length === 0) {
      return [];
    }
    const handled = new Set(await store.reports.servedTopics());
    const unhandled = waiting.filter((topic) => !handled.has(topic));
    if (unhandled.length === 0) {
      return [];
    }
    const scan = await store.scan(unhandled.map(toFullGap));
    const due = new Set(scan.waiting.filter(({ dueInMs }) => dueInMs <= 0).map(({ topic }) => topic));
    return unhandled.filter((topic) => due.has(topic));
  }
}

function list(topics: readonly string[]): string {
  const named = topics.slice(0, NAMED_MAX).map((topic) => `'${topic}'`);
  const more = topics.length - named.length;
  return named.join(', ') + (more > 0 ? ` and ${more} other topics` : '');
}
