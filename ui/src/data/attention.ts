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

/** A reason, and the topic that it applies to. Topics without a worker, and stalled topics, are one entry each. */
export interface Attention {
  readonly reason: Reason;
  readonly topics: readonly [TopicStats, ...TopicStats[]];
  /** Pending jobs of these topics. */
  readonly pending: number;
}

/** These have one cause and one remedy for many topics: a deployment without its workers. */
const GROUPED: readonly Reason[] = ['stalled', 'unhandled'];

/**
 * Returns what needs attention: first the topics that this user has paused, then those that fail, then the others, each by the
 * number of their waiting jobs.
 */
export function listAttention(
  topics: readonly TopicStats[],
  ownPauses: ReadonlySet<string> = new Set<string>(),
): Attention[] {
  const entries = new Map<string, Attention>();
  for (const topic of topics.toSorted((one, other) => other.pending - one.pending)) {
    const reason = findReason(topic);
    if (reason === null) continue;
    const key = GROUPED.includes(reason) ? reason : `${reason} ${topic.topic}`;
    const entry = entries.get(key);
    entries.set(key, {
      reason,
      topics: entry ? [...entry.topics, topic] : [topic],
      pending: (entry?.pending ?? 0) + topic.pending,
    });
  }
  const rank = ({ reason, topics: [first] }: Attention): number => {
    if (reason === 'paused' && ownPauses.has(first.topic)) return 0;
    return reason === 'failing' ? 1 : 2;
  };
  return [...entries.values()].sort((one, other) => rank(one) - rank(other) || other.pending - one.pending);
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
