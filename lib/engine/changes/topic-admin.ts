import type { TopicStats } from '../../core/job-reports.js';
import { toTopicName } from '../../core/job-topic.js';
import type { TopicName } from '../../core/topic.js';
import type { Dispatcher } from '../claim/dispatcher.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import type { UnhandledTopics } from '../topics/unhandled-topics.js';
import type { ChangeFeed } from './change-feed.js';
import type { Topics } from '../reports/query-cache.js';
import type { QueueStats, TopicPage, TopicRange } from '../reports/queue-stats.js';
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
   * Returns each topic that has jobs, has a handler in a live process, or is paused; sorted by name. Of the topics with jobs it lists
   * 1,000: see {@link page}.
   *
   * @param topics limits the list to these; `null`, the default, lists all.
   * @param range lists only the first `limit` topics after the topic `after`. Default: all.
   * @throws InvalidOptionsError for an invalid topic name.
   */
  async list(topics: TopicName | Topics = null, range: TopicRange = {}): Promise<TopicStats[]> {
    return [...(await this.page(topics, range)).items];
  }

  /**
   * Returns the topics of {@link list}, and the sum `other` of the topics that have no counts of their own. Of the topics with jobs, 1,000
   * have: first those that a live process handles or that have settings, then those with the most jobs. A topic in `topics` always has.
   *
   * @throws InvalidOptionsError for an invalid topic name.
   */
  async page(topics: TopicName | Topics = null, range: TopicRange = {}): Promise<TopicPage> {
    return this.parts.stats.page(readTopics(topics), range);
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
