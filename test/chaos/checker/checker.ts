import type { Evidence } from '../cluster/evidence.js';
import { checkDeadLetters } from './dead-letters.js';
import { checkEffects, checkEnqueueing, checkOutcomes } from './jobs.js';
import { checkLedger } from './ledger.js';
import { checkLimits } from './limits.js';
import { checkLinks } from './links.js';
import { checkProbes, checkProcesses } from './processes.js';
import { checkSchedules } from './schedules.js';
import { checkVersions } from './versions.js';
import type { Promised, Violation } from './violation.js';

/**
 * Judges what a run has left behind. It knows the table, the history and the promises, and nothing of how the queue keeps
 * them: no line of the queue's own code is used here.
 */
export function checkEvidence(evidence: Evidence): Violation[] {
  return [
    checkEnqueueing,
    checkOutcomes,
    checkEffects,
    checkLedger,
    checkProcesses,
    checkProbes,
    checkSchedules,
    checkLimits,
    checkLinks,
    checkDeadLetters,
    checkVersions,
  ].flatMap((one) => one(evidence));
}

/** How often each promise was broken. */
export function countByPromise(violations: readonly Violation[]): Map<Promised, number> {
  const counts = new Map<Promised, number>();
  for (const { promise } of violations) counts.set(promise, (counts.get(promise) ?? 0) + 1);
  return counts;
}
