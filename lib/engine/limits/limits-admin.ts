import { toTopicName } from '../../core/job-topic.js';
import { applyCheck } from '../../core/option-checks.js';
import type { TopicName } from '../../core/topic.js';
import type { DefinedLimits, Limits, TopicLimits } from '../../core/topic-limits.js';
import { limitsCheck } from '../../core/topic-limits.js';
import { toDefinedLimits } from '../../store/limits/limit-records.js';
import type { ChangeFeed } from '../changes/change-feed.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import type { UnhandledTopics } from '../topics/unhandled-topics.js';

type LimitsAdminParts = Pick<EngineParts, 'store' | 'wakeSignal' | 'strictTopics'> & {
  readonly changes: ChangeFeed;
  readonly unhandledTopics: UnhandledTopics;
};

/** Sets and reads the limits of topics, which hold over all processes. */
export class LimitsAdmin {
  constructor(private readonly parts: LimitsAdminParts) {}

  /**
   * Sets the limits of a topic for all processes. They replace all limits in the code, and survive restarts. `{}` sets no limit; with
   * `null` the limits in the code apply again. Running jobs continue when a limit is lowered.
   *
   * @throws InvalidOptionsError for an invalid topic name or limit; with `strictTopics`, also for a topic without waiting jobs that no
   * live process handles.
   */
  async set(topic: TopicName, limits: Limits | null): Promise<void> {
    const { store, wakeSignal, changes, unhandledTopics, strictTopics } = this.parts;
    const name = toTopicName(topic);
    const setting = limits === null ? null : applyCheck(limitsCheck, limits, 'limits');
    if (strictTopics && setting !== null) {
      await unhandledTopics.ensureHandledOrWaiting(name);
    }
    await store.limits.set(name, setting);
    changes.markChanged(name);
    wakeSignal.announce([name]);
    unhandledTopics.onUsed(name);
  }

  /**
   * Returns the limits of a topic that apply: the operator's setting, or those in the code. `null` if it has neither.
   *
   * @throws InvalidOptionsError for an invalid topic name.
   */
  async get(topic: TopicName): Promise<TopicLimits | null> {
    const [stored] = await this.parts.store.limits.list(toTopicName(topic));
    return (stored && toDefinedLimits(stored)?.limits) ?? null;
  }

  /** Returns each topic with limits, in the code or set by an operator; sorted by name. */
  async list(): Promise<DefinedLimits[]> {
    return (await this.parts.store.limits.list()).flatMap((stored) => toDefinedLimits(stored) ?? []);
  }
}
