import { endsWithin } from '../../core/clock.js';
import type { Duration } from '../../core/duration.js';
import { toErrorMessage } from '../../core/error-text.js';
import { IdleTimeoutError, InvalidOptionsError } from '../../core/errors.js';
import type { UnfinishedTopic } from '../../core/errors.js';
import { duration, option, readOptions } from '../../core/option-checks.js';
import type { Dispatcher } from '../claim/dispatcher.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import type { Enqueuer } from '../enqueue/enqueuer.js';
import type { UnhandledTopics } from '../topics/unhandled-topics.js';
import type { JobRunner } from '../run/job-runner.js';

/** Options of `whenIdle`. */
export interface WhenIdleOptions {
  /** How long to wait. Default `'30s'`. */
  timeout?: Duration | undefined;
}

type IdleWatchParts = Pick<EngineParts, 'store' | 'clock' | 'logger' | 'role' | 'strictTopics'> & {
  readonly enqueuer: Enqueuer;
  readonly dispatcher: Dispatcher;
  readonly runner: JobRunner;
  readonly unhandledTopics: UnhandledTopics;
};

/** How long the query for due jobs may take after the timeout. */
const DUE_QUERY_MAX_MS = 500;

const whenIdleTable = { timeout: option(30_000, duration(1)) };

/** Waits until no job is due for this process and none runs in it. */
export class IdleWatch {
  constructor(private readonly parts: IdleWatchParts) {}

  /**
   * @throws IdleTimeoutError that names the topics with unfinished jobs; InvalidOptionsError for due jobs that no live process handles.
   */
  async whenIdle(options: WhenIdleOptions = {}): Promise<void> {
    const { role, dispatcher, logger, clock, enqueuer } = this.parts;
    const { timeout: timeoutMs } = readOptions(whenIdleTable, options);
    if (role !== 'producer' && !dispatcher.hasStarted) {
      // An error, because Nest's logger for tests prints nothing less.
      logger.error(
        'whenIdle was called before the queue has started, so no job runs; call start(), or init() or listen() of the Nest application',
      );
    }
    const work = this.waitUntilIdle().then(() => this.rejectUnhandled());
    if (await endsWithin(clock, timeoutMs, work)) {
      return;
    }
    const due = await this.dueTopics();
    const topics = this.unfinishedTopics(due ?? []);
    const reasons = [
      ...topics.map(describe),
      ...(enqueuer.isIdle ? [] : ['an enqueue is not finished']),
      ...(due ? [] : ['the database does not respond, so due jobs are unknown']),
    ];
    throw new IdleTimeoutError(
      `not idle within ${timeoutMs} ms: ${reasons.join('; ') || 'it became idle after that'}`,
      topics,
    );
  }

  /** Resolves when no job is due for this process and none runs in it. */
  async waitUntilIdle(): Promise<void> {
    const { enqueuer, dispatcher, runner, store } = this.parts;
    let isFollowingUp: boolean;
    do {
      await enqueuer.idle();
      await dispatcher.idle();
      await runner.allSettled();
      isFollowingUp = !store.links.isIdle;
      await store.links.idle();
    } while (isFollowingUp || !enqueuer.isIdle || runner.unsettledCount > 0);
  }

  /** Due jobs that will not run reject: a test with a mistyped topic must not pass. */
  private async rejectUnhandled(): Promise<void> {
    const { role, dispatcher, logger, strictTopics, unhandledTopics } = this.parts;
    if (role === 'producer' || !dispatcher.hasStarted) {
      return;
    }
    const due = await unhandledTopics.describeDue().catch((error: unknown) => {
      if (strictTopics) {
        throw error;
      }
      logger.debug(`whenIdle: could not check whether topics have a handler: ${toErrorMessage(error)}`);
    });
    if (due !== undefined) {
      throw new InvalidOptionsError('whenIdle', due);
    }
  }

  /** Returns `undefined` when the database does not respond. */
  private async dueTopics(): Promise<string[] | undefined> {
    let due: string[] | undefined;
    const scan = this.parts.dispatcher.dueTopics().then(
      (topics) => void (due = topics),
      () => undefined,
    );
    await endsWithin(this.parts.clock, DUE_QUERY_MAX_MS, scan);
    return due;
  }

  private unfinishedTopics(due: readonly string[]): UnfinishedTopic[] {
    const unfinished = this.parts.runner.workByTopic();
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
