import type { Evidence, LedgerRow } from '../cluster/evidence.js';
import { LEASE_MS } from '../cluster/cluster.js';
import { groupBy } from './jobs.js';
import type { Violation } from './violation.js';

/** Times are kept in milliseconds on SQLite. */
const ROUNDING_MS = 2;

const legalMoves = new Set([
  '→pending',
  'pending→pending',
  'pending→processing',
  'pending→cancelled',
  'processing→processing',
  'processing→completed',
  'processing→failed',
  'processing→cancelled',
  'processing→pending',
  'failed→pending',
  'cancelled→pending',
]);

/**
 * Every move of every job, as the database itself wrote it down: only legal ones, attempts that rise with each claim and
 * never fall, no claim before `run_at`, no run too many, and no lease that is taken from an attempt that still has it.
 */
export function checkLedger(evidence: Evidence): Violation[] {
  const began = begunAttempts(evidence);
  const ended = endedAttempts(evidence, began);
  const violations: Violation[] = [];
  for (const [id, rows] of groupBy(evidence.ledger, ({ job_id: job }) => job)) {
    let charged = 0;
    rows.forEach((row, index) => {
      const cutShort = isCutShort(row, began, ended);
      const found = [...judgeMove(row, rows[index - 1]), ...judgeLease(row, ended), ...judgeLastChance(row, cutShort)];
      charged = row.was === 'failed' ? 0 : charged + chargeOf(row);
      if (row.now === 'processing' && charged > row.max_retries!) {
        found.push({ promise: 'overrun', detail: `run ${charged + 1} of at most ${row.max_retries! + 1}` });
      }
      violations.push(
        ...found.map(({ promise, detail }) => ({ promise, detail: `job ${id}, move ${row.seq}: ${detail}` })),
      );
    });
  }
  return violations;
}

function judgeMove(row: LedgerRow, before: LedgerRow | undefined): Violation[] {
  const { was, now, attempt, was_attempt: wasAttempt } = row;
  const violations: Violation[] = [];
  const move = `${was ?? ''}→${now ?? ''}`;
  if (!legalMoves.has(move) || (before ? before.now !== was : was !== null)) {
    violations.push({ promise: 'move', detail: `${move} after →${before?.now ?? ''}` });
  }
  const expected = move === 'pending→processing' ? wasAttempt! + 1 : (wasAttempt ?? 0);
  if (now !== null && attempt !== expected) {
    violations.push({ promise: 'move', detail: `attempt ${wasAttempt} became ${attempt} at ${move}` });
  }
  if (move === 'pending→processing' && row.at + ROUNDING_MS < row.run_at!) {
    violations.push({ promise: 'early', detail: `claimed ${row.run_at! - row.at} ms before it was due` });
  }
  return violations;
}

/** A lease ends when its attempt does, or when its time is over: by the clock of the database, whoever asks. */
function judgeLease(row: LedgerRow, ended: ReadonlySet<string>): Violation[] {
  if (row.now === 'processing' && row.locked_until! > row.at + LEASE_MS + ROUNDING_MS) {
    return [{ promise: 'overlap', detail: `a lease of ${row.locked_until! - row.at} ms instead of ${LEASE_MS}` }];
  }
  const isLive = row.was === 'processing' && row.now !== 'processing' && row.was_locked_until! > row.at + ROUNDING_MS;
  if (isLive && !ended.has(`${row.job_id} ${row.was_attempt}`)) {
    const left = Math.round(row.was_locked_until! - row.at);
    return [
      { promise: 'overlap', detail: `attempt ${row.was_attempt} runs, and lost a lease good for ${left} ms more` },
    ];
  }
  return [];
}

/** Whether this move takes the job from an attempt whose handler was called, and neither ended nor was told to. */
function isCutShort(row: LedgerRow, began: ReadonlySet<string>, ended: ReadonlySet<string>): boolean {
  const attempt = `${row.job_id} ${row.was_attempt}`;
  return row.was === 'processing' && row.now !== 'processing' && began.has(attempt) && !ended.has(attempt);
}

/** A worker that dies has used up the last chance of what it had begun. */
function judgeLastChance(row: LedgerRow, isFromCutShort: boolean): Violation[] {
  const { now, retries, was_retries: before, max_retries: most } = row;
  return isFromCutShort && now === 'pending' && retries === before && retries! >= most!
    ? [{ promise: 'overrun', detail: `attempt ${row.was_attempt} had begun at its last chance, and waits again` }]
    : [];
}

/** Attempts whose handlers were called. */
function begunAttempts({ history }: Evidence): Set<string> {
  return new Set(history.flatMap((deed) => (deed.kind === 'began' ? [`${deed.id} ${deed.attempt}`] : [])));
}

/** Attempts whose handlers have ended or were told to, and those that never began. */
function endedAttempts({ ledger, history }: Evidence, began: ReadonlySet<string>): Set<string> {
  const ended = new Set<string>();
  for (const deed of history) {
    if (deed.kind === 'returned' || deed.kind === 'threw' || deed.kind === 'completing' || deed.kind === 'aborted') {
      ended.add(`${deed.id} ${deed.attempt}`);
    }
  }
  for (const { job_id: id, now, attempt } of ledger) {
    if (now === 'processing' && !began.has(`${id} ${attempt}`)) ended.add(`${id} ${attempt}`);
  }
  return ended;
}

/** A run counts when it is charged as a retry, or ends the job; a snooze or a release does not. */
function chargeOf({ was, now, was_retries: before, retries: after }: LedgerRow): number {
  return was === 'processing' && now !== null && after! > before! ? 1 : 0;
}
