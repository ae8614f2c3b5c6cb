import type { Limits } from 'nestjs-jobs';
import type { Evidence, LedgerRow } from '../cluster/evidence.js';
import { limitedTopics } from '../protocol.js';
import { groupBy } from './jobs.js';
import type { Violation } from './violation.js';

/** How many running jobs a topic, or a key of it, may have. */
interface Bound {
  readonly name: string;
  readonly most: number;
}

/** Claims of limited topics. */
export function countLimitedClaims({ ledger }: Evidence): number {
  return ledger.filter((row) => row.topic in limitedTopics && isClaim(row)).length;
}

/** No moment has more running jobs than a limit allows, and no window has more starts than a rate allows. */
export function checkLimits(evidence: Evidence): Violation[] {
  const byTopic = groupBy(evidence.ledger, ({ topic }) => topic);
  const begun = findBegun(evidence);
  return [
    ...checkSamples(evidence),
    ...Object.entries(limitedTopics).flatMap(([topic, limits]) => {
      const rows = byTopic.get(topic) ?? [];
      return [...checkRunning(topic, rows), ...checkRate(topic, limits, rows, begun)];
    }),
  ];
}

/** Each sample comes from one snapshot. */
function checkSamples({ samples }: Evidence): Violation[] {
  return samples.flatMap((sample) => {
    const counts = new Map<string, number>();
    const over: Violation[] = [];
    for (const { topic, key, running } of sample) {
      for (const { name, most } of boundsOf(topic, key)) {
        const count = (counts.get(name) ?? 0) + running;
        counts.set(name, count);
        if (count > most) over.push({ promise: 'limit', detail: `${count} jobs of ${name} ran, not ${most}` });
      }
    }
    return over;
  });
}

/**
 * Replays the ledger. A job that has ended before a claim was sent has a lower number than the claim, and claims of a topic have
 * their numbers in the order of their commits: so this never counts a job that the claim could not see.
 */
function checkRunning(topic: string, rows: readonly LedgerRow[]): Violation[] {
  const running = new Map<string, Set<string>>();
  return rows.flatMap((row) =>
    boundsOf(topic, row.key ?? '').flatMap(({ name, most }): Violation[] => {
      const jobs = running.get(name) ?? new Set();
      running.set(name, jobs);
      if (row.now !== 'processing') {
        jobs.delete(row.job_id);
        return [];
      }
      jobs.add(row.job_id);
      const isOver = isClaim(row) && jobs.size > most;
      const detail = `the claim of job ${row.job_id}, move ${row.seq}, is number ${jobs.size} of ${most} in ${name}`;
      return isOver ? [{ promise: 'limit', detail }] : [];
    }),
  );
}

/**
 * After so many starts the next one is at least a window later. Handlers write their starts themselves, by the one monotonic clock of
 * the machine: a provider sees those, and not the claims.
 */
function checkRate(topic: string, { rate }: Limits, rows: readonly LedgerRow[], begunUs: Begun): Violation[] {
  if (!rate) return [];
  const claims = rows.filter((row) => isClaim(row) && !(rate.perKey && row.key === null));
  const groups = groupBy(claims, ({ key }) => (rate.perKey ? key : null));
  return [...groups].flatMap(([key, group]) => {
    const times = group.flatMap((row) => begunUs.get(toAttempt(row.job_id, row.attempt)) ?? []).sort((a, b) => a - b);
    return times.slice(rate.limit).flatMap((time, index): Violation[] => {
      const tookMs = (time - times[index]!) / 1_000;
      const detail = `${rate.limit + 1} starts of ${topic} ${key ?? ''} within ${tookMs} ms`;
      return tookMs < Number(rate.per) ? [{ promise: 'rate', detail }] : [];
    });
  });
}

/** When the handlers of attempts began. */
type Begun = ReadonlyMap<string, number>;

function toAttempt(id: string, attempt: number | null): string {
  return `${id} ${attempt}`;
}

function findBegun({ history }: Evidence): Begun {
  return new Map(
    history.flatMap((event) => (event.kind === 'began' ? [[toAttempt(event.id, event.attempt), event.atUs]] : [])),
  );
}

function isClaim({ was, now }: LedgerRow): boolean {
  return was === 'pending' && now === 'processing';
}

function boundsOf(topic: string, key: string): Bound[] {
  const { concurrency, perKey } = limitedTopics[topic]!;
  return [
    ...(concurrency === undefined ? [] : [{ name: topic, most: concurrency }]),
    ...(perKey === undefined || key === '' ? [] : [{ name: `${topic} ${key}`, most: perKey }]),
  ];
}
