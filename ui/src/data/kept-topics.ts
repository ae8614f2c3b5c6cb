import type { TopicStats } from '../../../client/index.js';

/** What is known of a topic that is listed no more: it has neither jobs nor a handler, and is not paused. */
const NOTHING: Omit<TopicStats, 'topic' | 'counted_at'> = {
  pending: 0,
  retrying: 0,
  processing: 0,
  completed: 0,
  failed: 0,
  cancelled: 0,
  total: 0,
  success_rate: 0,
  oldest_pending_ms: null,
  next_due_ms: null,
  recent: { completed: 0, attempts_failed: 0 },
  has_handler: false,
  paused_since: null,
  limits: null,
  limits_source: null,
  code_limits: null,
  retention: null,
  dead_letters: [],
  live_definitions: {},
  running: 0,
  waiting_keys: 0,
  limited_by: null,
};

/** The topics that are listed, then those that were before: a row that went would take the focus with it. */
export function withKept(listed: readonly TopicStats[], before: readonly TopicStats[]): readonly TopicStats[] {
  const names = new Set(listed.map(({ topic }) => topic));
  const gone = before.filter(({ topic }) => !names.has(topic));
  return [...listed, ...gone.map(({ topic, counted_at }) => ({ topic, counted_at, ...NOTHING }))];
}
