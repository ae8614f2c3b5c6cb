import type { Evidence } from '../cluster/evidence.js';

/** How many attempts were running at a moment, in one process or in any. */
function runningAt({ history }: Evidence, name: string | undefined, atUs: number): number {
  const running = new Set<string>();
  for (const deed of history) {
    if ((name !== undefined && deed.by !== name) || deed.atUs > atUs) continue;
    if (deed.kind === 'began') running.add(`${deed.id} ${deed.attempt}`);
    if (deed.kind === 'returned' || deed.kind === 'threw') running.delete(`${deed.id} ${deed.attempt}`);
  }
  return running.size;
}

/** Strikes while a handler was running: in the process it was aimed at, or in any when it was aimed at none. */
export function countHitsOnRunning(evidence: Evidence, what: string): number {
  const strikes = evidence.strikes.filter((strike) => strike.what === what);
  return strikes.filter(({ at, atUs }) => runningAt(evidence, at, atUs) > 0).length;
}

/** Strikes that were seen to hit something when they were made. */
export function countObservedHits(evidence: Evidence, what: string): number {
  return evidence.strikes.filter((strike) => strike.what === what).reduce((sum, { hits = 0 }) => sum + hits, 0);
}

/** Attempts that offered an outcome which was refused. */
export function countRejections({ history }: Evidence): number {
  return new Set(
    history.flatMap((deed) =>
      deed.kind === 'lease lost' || (deed.kind === 'threw' && deed.code === 'LEASE_LOST')
        ? [`${deed.id} ${deed.attempt}`]
        : [],
    ),
  ).size;
}

/** Claims of jobs that had been claimed before. */
export function countReattempts({ ledger }: Evidence): number {
  return ledger.filter(({ was, now, attempt }) => was === 'pending' && now === 'processing' && attempt! > 1).length;
}

/** Attempts in all. */
export function countAttempts({ ledger }: Evidence): number {
  return ledger.filter(({ was, now }) => was === 'pending' && now === 'processing').length;
}

/** Enqueues that were kept waiting for so long, or refused. */
export function countDelayedEnqueues({ history }: Evidence, waitedMs: number): number {
  return history.filter((deed) => deed.kind === 'refused' || (deed.kind === 'acknowledged' && deed.tookMs >= waitedMs))
    .length;
}
