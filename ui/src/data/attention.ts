import type { TopicStats } from '../../../client/index.js';

/** Fewer failed attempts in five minutes may be bad luck. */
const FAILED_ATTEMPTS_MIN = 5;
/** The share of failed attempts at which a topic counts as failing. */
const FAILED_SHARE_MIN = 0.2;
/** A due job that has waited this long while no job of its topic runs. */
const STALLED_MS = 60_000;

/** Why a topic needs attention, the most urgent reason first. */
const REASONS = ['failing', 'stalled', 'unhandled', 'paused'] as const;

export type Reason = (typeof REASONS)[number];

/** A topic that needs attention. */
export interface Attention {
  readonly topic: TopicStats;
  readonly reason: Reason;
}

/** Returns the topics that need attention, the most urgent first. */
export function listAttention(topics: readonly TopicStats[]): Attention[] {
  return topics
    .flatMap((topic) => {
      const reason = findReason(topic);
      return reason === null ? [] : [{ topic, reason }];
    })
    .sort((one, other) => rankTopic(one.topic) - rankTopic(other.topic) || other.topic.pending - one.topic.pending);
}

/** Lower is more urgent; a topic that needs no attention comes last. */
export function rankTopic(topic: TopicStats): number {
  const reason = findReason(topic);
  return reason === null ? REASONS.length : REASONS.indexOf(reason);
}

function findReason(topic: TopicStats): Reason | null {
  if (topic.paused_since !== null) return topic.pending > 0 ? 'paused' : null;
  if (isFailing(topic)) return 'failing';
  if (topic.pending > 0 && !topic.has_handler) return 'unhandled';
  return isStalled(topic) ? 'stalled' : null;
}

/** Between two attempts of its jobs, a failing topic has no attempts, but jobs that wait for a retry. */
function isFailing({ recent, retrying }: TopicStats): boolean {
  const { completed, attempts_failed: failed } = recent;
  return failed >= FAILED_ATTEMPTS_MIN
    ? failed / (failed + completed) >= FAILED_SHARE_MIN
    : retrying >= FAILED_ATTEMPTS_MIN && completed === 0;
}

function isStalled({ oldest_pending_ms: oldestMs, processing, limited_by: limit }: TopicStats): boolean {
  return oldestMs !== null && oldestMs >= STALLED_MS && processing === 0 && limit === null;
}
