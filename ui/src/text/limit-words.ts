import type { Limits, TopicStats } from '../../../client/index.js';
import { messages } from '../messages/messages.js';
import { durationText } from './duration.js';

/** Running jobs of a topic and their limit: `3 of 50 running`. */
export function runningText({ limits, running }: Pick<TopicStats, 'limits' | 'running'>): string {
  const most = limits?.concurrency;
  return most === undefined ? messages.limits.running(running) : messages.limits.runningOf(running, most);
}

/** The other limits: `2 per key`, `100 starts in 1 min`. */
export function otherLimits({ per_key, rate }: Limits): string[] {
  const perKey = per_key === undefined ? [] : [messages.limits.perKey(per_key)];
  if (rate === undefined) return perKey;
  return [...perKey, messages.limits.rate(rate.limit, durationText(rate.per), rate)];
}

/** All limits in one sentence: `50 running, 2 per key, 100 starts in 1 min`. */
export function limitsText(limits: Limits | null): string {
  if (limits === null) return messages.limits.none;
  const { concurrency } = limits;
  const running = concurrency === undefined ? [] : [messages.limits.concurrency(concurrency)];
  return messages.amounts.list([...running, ...otherLimits(limits)]) || messages.limits.none;
}
