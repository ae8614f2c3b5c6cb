import type { TopicStats } from '../../core/job-reports.js';
import { toTopicName } from '../../core/job-topic.js';
import type { TopicName } from '../../core/topic.js';
import type { Dispatcher } from '../claim/dispatcher.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import type { UnhandledTopics } from '../topics/unhandled-topics.js';
import type { ChangeFeed } from './change-feed.js';
import type { Topics } from '../reports/query-cache.js';
import type { QueueStats, TopicPage } from '../reports/queue-stats.js';
import { readTopics } from '../reports/queue-stats.js';

type TopicAdminParts = Pick<EngineParts, 'store' | 'wakeSignal' | 'strictTopics'> & {
  readonly stats: QueueStats;
  readonly dispatcher: Dispatcher;
  readonly changes: ChangeFeed;
  readonly unhandledTopics: UnhandledTopics;
};

/** Lists, pauses and resumes topics. */
export class TopicAdmin {
  constructor(private readonly parts: TopicAdminParts) {}

  /**
   * Returns each topic that has jobs, has a handler in a live process, or is paused; sorted by name. Counts may be 2 s old.
   *
   * @param topics limits the list to these; `null`, the default, lists all.
   * @param page lists only the first `limit` topics after the topic `after`. Default: all.
   * @throws InvalidOptionsError for an invalid topic name.
   */
  async list(topics: TopicName | Topics = null, page: TopicPage = {}): Promise<TopicStats[]> {
    return this.parts.stats.byTopic(readTopics(topics), page);
  }

  /**
   * Stops all processes from claiming jobs of the topic, until `resume`. The pause survives restarts. Jobs that a process has
   * claimed already run to their end; a retry waits. New jobs are stored and wait. Pausing a paused topic changes nothing.
   *
   * @throws InvalidOptionsError for an invalid topic name; with `strictTopics`, also for a topic without waiting jobs that no live
   * process handles.
   */
  async pause(topic: TopicName): Promise<void> {
    const { store, dispatcher, changes, unhandledTopics, strictTopics } = this.parts;
    const name = toTopicName(topic);
    if (strictTopics) {
      await unhandledTopics.ensureHandledOrWaiting(name);
    }
    await store.pauses.pause([name]);
    dispatcher.recordPause(name, true);
    changes.markChanged(name);
    unhandledTopics.onUsed(name);
  }

  /**
   * Lets all processes claim jobs of the topic again. Does nothing when the topic is not paused.
   *
   * @throws InvalidOptionsError for an invalid topic name.
   */
  async resume(topic: TopicName): Promise<void> {
    const name = toTopicName(topic);
    await this.parts.store.pauses.resume([name]);
    this.parts.dispatcher.recordPause(name, false);
    this.parts.changes.markChanged(name);
    this.parts.wakeSignal.announce([name]);
  }
}
