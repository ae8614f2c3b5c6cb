import type { Limits, TopicStats } from '../../../client/index.js';
import { countText } from './amount.js';
import { durationText } from './duration.js';

/** Running jobs of a topic and their limit: `3 of 50 running`. */
export function runningText({ limits, running }: Pick<TopicStats, 'limits' | 'running'>): string {
  const most = limits?.concurrency;
  return most === undefined ? `${countText(running)} running` : `${countText(running)} of ${countText(most)} running`;
}

/** The other limits: `2 per key`, `100 starts in 1 min`. */
export function otherLimits({ per_key, rate }: Limits): string[] {
  const perKey = per_key === undefined ? [] : [`${countText(per_key)} per key`];
  if (rate === undefined) return perKey;
  const starts = `${countText(rate.limit)} ${rate.limit === 1 ? 'start' : 'starts'}`;
  return [...perKey, `${starts} in ${durationText(rate.per)}${rate.per_key ? ' per key' : ''}`];
}

/** All limits in one sentence: `50 running, 2 per key, 100 starts in 1 min`. */
export function limitsText(limits: Limits | null): string {
  if (limits === null) return 'no limit';
  const { concurrency } = limits;
  const running = concurrency === undefined ? [] : [`${countText(concurrency)} running`];
  return [...running, ...otherLimits(limits)].join(', ') || 'no limit';
}

/** Keys with due jobs: `12 keys wait`. */
export function waitingKeysText(count: number): string {
  return count === 1 ? '1 key waits' : `${countText(count)} keys wait`;
}
