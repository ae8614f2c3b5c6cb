import type { Evidence, JobRow } from '../cluster/evidence.js';
import type { HistoryEntry } from '../history.js';
import { DOOMED, exactTopics, poisonTopics } from '../protocol.js';
import type { Violation } from './violation.js';

/** No acknowledged job is lost, none is there twice, and a job stored with an order is there if and only if that is. */
export function checkEnqueueing(evidence: Evidence): Violation[] {
  const { jobs, orders, history } = evidence;
  const byId = new Map(jobs.map((job) => [job.id, job]));
  const byName = groupBy(
    jobs.filter(({ n }) => n !== null),
    ({ n }) => n!,
  );
  const violations: Violation[] = [];
  for (const { id, n } of findLostJobs(evidence)) {
    violations.push({ promise: 'lost', detail: `job ${id} (${n}) was acknowledged and is missing` });
  }
  for (const deed of history) {
    if (deed.kind === 'rolled back' && byName.has(deed.n)) {
      violations.push({ promise: 'half done', detail: `job ${deed.n} is there, its transaction was rolled back` });
    }
    if (deed.kind === 'refused' && deed.code !== 'QUEUE_UNAVAILABLE' && !deed.isInTransaction) {
      violations.push({ promise: 'error', detail: `enqueue of ${deed.n} was refused with '${deed.message}'` });
    }
  }
  for (const [n, twins] of byName) {
    if (twins.length > 1) violations.push({ promise: 'double', detail: `job ${n} was stored ${twins.length} times` });
  }
  for (const { n, job_id: id } of orders) {
    if (byId.get(id)?.n !== n) {
      violations.push({ promise: 'half done', detail: `order ${n} is there, its job ${id} is not` });
    }
  }
  return violations;
}

/** Returns the acknowledgements of jobs that are missing. */
export function findLostJobs({
  jobs,
  history,
}: Pick<Evidence, 'jobs' | 'history'>): (HistoryEntry & { readonly kind: 'acknowledged' })[] {
  const names = new Map(jobs.map(({ id, n }) => [id, n]));
  return history.filter((deed) => deed.kind === 'acknowledged').filter(({ id, n }) => names.get(id) !== n);
}

/** Checks that each confirmed completion is recorded, by the same attempt. */
export function checkOutcomes({ ledger, history }: Evidence): Violation[] {
  const ends = new Set(ledger.flatMap((row) => (row.now === 'completed' ? [`${row.job_id} ${row.attempt}`] : [])));
  return history
    .filter((deed) => deed.kind === 'completed')
    .filter(({ id, attempt }) => !ends.has(`${id} ${attempt}`))
    .map(({ id, attempt }) => ({
      promise: 'lost',
      detail: `the completion of job ${id} by attempt ${attempt} was confirmed and is missing`,
    }));
}

/** Each job has an end, its effect is there, and where that is promised there is exactly one. */
export function checkEffects({ jobs, effects, isDrained }: Evidence): Violation[] {
  const byJob = groupBy(effects, ({ job_id: id }) => id);
  const violations: Violation[] = [];
  if (!isDrained) {
    const unfinished = jobs.filter(({ status }) => status === 'pending' || status === 'processing');
    violations.push({
      promise: 'stuck',
      detail: `jobs without an end: ${unfinished.map(describe).slice(0, 5).join(', ')}`,
    });
  }
  for (const job of jobs.filter(({ topic }) => !poisonTopics.includes(topic))) {
    const done = byJob.get(job.id) ?? [];
    const count = done.length;
    if (job.status === 'completed' && count === 0) {
      violations.push({ promise: 'lost', detail: `${describe(job)} has no effect` });
    }
    if (exactTopics.includes(job.topic) && (count > 1 || (count === 1 && job.status !== 'completed'))) {
      violations.push({ promise: 'double', detail: `${describe(job)} has ${count} effects` });
    }
    if (exactTopics.includes(job.topic) && count === 1 && done[0]!.attempt !== job.attempt) {
      const detail = `${describe(job)} has the effect of attempt ${done[0]!.attempt}`;
      violations.push({ promise: 'half done', detail });
    }
    if (job.status === 'failed' && job.topic !== 'fragile' && job.topic !== DOOMED) {
      violations.push({ promise: 'lost', detail: `${describe(job)} was given up` });
    }
  }
  return violations;
}

function describe({ id, topic, status, attempt }: JobRow): string {
  return `job ${id} (${topic}, ${status}, attempt ${attempt})`;
}

export function groupBy<T, K>(items: readonly T[], keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group) group.push(item);
    else groups.set(keyOf(item), [item]);
  }
  return groups;
}
