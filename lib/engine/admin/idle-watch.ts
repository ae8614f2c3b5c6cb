import type { Clock } from '../../core/clock.js';
import { endsWithin } from '../../core/clock.js';
import type { Duration } from '../../core/duration.js';
import { IdleTimeoutError } from '../../core/errors.js';
import type { UnfinishedTopic } from '../../core/errors.js';
import { duration, readOptions } from '../../core/option-checks.js';
import type { JobsLogger } from '../../core/logger.js';
import type { JobsSettings } from '../../core/options.js';
import type { JobRunner } from '../run/job-runner.js';
import type { Dispatcher } from '../claim/dispatcher.js';
import type { Enqueuer } from '../enqueue/enqueuer.js';

/** What may be asked of `whenIdle`. */
export interface WhenIdleOptions {
  /** Default 30 seconds. */
  timeout?: Duration | undefined;
}

export interface IdleWatchOptions {
  readonly clock: Clock;
  readonly enqueuer: Enqueuer;
  readonly dispatcher: Dispatcher;
  readonly runner: JobRunner;
  readonly role: JobsSettings['role'];
  readonly logger: JobsLogger;
}

/** After the limit, how long the database may take to say which jobs are due. */
const SCAN_MS = 500;

const whenIdleTable = { timeout: { default: 30_000, check: duration(1), meaning: 'limit of the wait' } };

/** Waits until nothing is due for this process and nothing is at work in it. */
export class IdleWatch {
  constructor(private readonly parts: IdleWatchOptions) {}

  /** @throws IdleTimeoutError naming the topics that are not finished. */
  async whenIdle(options: WhenIdleOptions = {}): Promise<void> {
    const { role, dispatcher, logger } = this.parts;
    const { timeout: timeoutMs } = readOptions(whenIdleTable, options);
    if (role !== 'producer' && !dispatcher.hasStarted) {
      // As an error: Nest's logger for tests shows nothing less.
      logger.error(
        'whenIdle was asked before the queue has started: no job runs until start(), which a Nest application does in init() or listen()',
      );
    }
    if (!(await endsWithin(this.parts.clock, timeoutMs, this.untilIdle()))) {
      const due = await this.dueTopics();
      const topics = this.unfinishedTopics(due ?? []);
      const reasons = [
        ...topics.map(describe),
        ...(this.parts.enqueuer.isIdle ? [] : ['an enqueue has no answer yet']),
        ...(due ? [] : ['the database does not say whether jobs are due']),
      ];
      throw new IdleTimeoutError(`not idle within ${timeoutMs} ms: ${reasons.join('; ') || 'it is by now'}`, topics);
    }
  }

  private async untilIdle(): Promise<void> {
    const { enqueuer, dispatcher, runner } = this.parts;
    do {
      await enqueuer.idle();
      await dispatcher.quiet();
      await runner.allSettled();
    } while (!enqueuer.isIdle || runner.openCount > 0);
  }

  /** `undefined` when the database does not answer. */
  private async dueTopics(): Promise<string[] | undefined> {
    let due: string[] | undefined;
    const scan = this.parts.dispatcher.dueTopics().then(
      (topics) => void (due = topics),
      () => undefined,
    );
    await endsWithin(this.parts.clock, SCAN_MS, scan);
    return due;
  }

  private unfinishedTopics(due: readonly string[]): UnfinishedTopic[] {
    const unfinished = this.parts.runner.unfinished();
    return [...new Set([...unfinished.keys(), ...due])].sort().map((topic) => {
      const work = unfinished.get(topic) ?? { running: 0, buffered: 0, unrecorded: 0 };
      return { topic, ...work, isDue: due.includes(topic) };
    });
  }
}

function describe({ topic, running, buffered, unrecorded, isDue }: UnfinishedTopic): string {
  const parts = [
    running > 0 && `${running} running`,
    buffered > 0 && `${buffered} claimed but without a slot`,
    unrecorded > 0 && `${unrecorded} ended but not recorded`,
    isDue && 'jobs due but not claimed',
  ];
  return `'${topic}' has ${parts.filter(Boolean).join(', ')}`;
}
