import type { EngineParts } from '../runtime/engine-parts.js';
import type { ChangeFeed } from '../changes/change-feed.js';

type LinkEventParts = Pick<EngineParts, 'store' | 'emit' | 'wakeSignal'> & { readonly changes: ChangeFeed };

/** Emits the events of dead letters and of jobs that ended because of a parent. Wakes the workers for dead letters and released jobs. */
export function reportLinkChanges({ store, emit, wakeSignal, changes }: LinkEventParts): void {
  store.links.observe(({ released, cancelled, deadLetters = [] }) => {
    deadLetters.forEach((letter) => emit({ type: 'enqueued', ...letter, deduplicated: false }));
    cancelled.forEach(({ id, topic, attempt }) => emit({ type: 'cancelled', id, topic, attempt, durationMs: null }));
    const due = [...released, ...deadLetters];
    due.forEach(({ topic }) => changes.markChanged(topic));
    if (due.length > 0) {
      wakeSignal.offer(due);
    }
  });
}
