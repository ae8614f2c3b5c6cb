import { median } from '../results/statistics.mjs';

/** @typedef {import('./sampler.mjs').Sample} Sample */

/**
 * Quantities that may not grow. The heap grows between two garbage collections, so its smallest sample of a period counts.
 *
 * @type {{ key: keyof Sample, title: string, of?: (values: number[]) => number }[]}
 */
export const QUANTITIES = [
  { key: 'tableMb', title: 'tables, MB' },
  { key: 'indexMb', title: 'indexes, MB' },
  { key: 'fileMb', title: 'file, MB' },
  { key: 'walFileMb', title: 'WAL file, MB' },
  { key: 'liveRows', title: 'rows' },
  { key: 'deadRows', title: 'dead rows' },
  { key: 'waiting', title: 'jobs that have not ended' },
  { key: 'p50Ms', title: 'p50, ms' },
  { key: 'p99Ms', title: 'p99, ms' },
  { key: 'walMbPerSecond', title: 'write-ahead log, MB/s' },
  { key: 'serverCores', title: 'server, cores' },
  { key: 'workerCores', title: 'worker, cores' },
  { key: 'workerMb', title: 'worker, MB' },
  { key: 'workerHeapMb', title: 'heap of the worker, MB', of: (values) => Math.min(...values) },
  { key: 'producerMb', title: 'producer, MB' },
  { key: 'producerHeapMb', title: 'heap of the producer, MB', of: (values) => Math.min(...values) },
];

/** Quantities that a held snapshot changes. */
const HELD = ['tableMb', 'indexMb', 'deadRows', 'waiting', 'p50Ms', 'p99Ms', 'walMbPerSecond', 'serverCores'];

const GROWTH_MAX = 0.05;
/** A quantity has recovered when the median of this many samples is at most 1.1 times the median before the snapshot. */
const RECOVERED_SAMPLES = 6;
const RECOVERED_RATIO = 1.1;

/**
 * Compares the second period as long as the retention with the last one.
 *
 * @param {Sample[]} samples of the time in which jobs are enqueued, before another session holds a snapshot
 * @param {number} retentionSeconds
 */
export function measureGrowth(samples, retentionSeconds) {
  const end = samples[samples.length - 1].seconds;
  const between = (/** @type {number} */ from, /** @type {number} */ to) =>
    samples.filter(({ seconds }) => seconds > from && seconds <= to);
  const second = between(retentionSeconds, 2 * retentionSeconds);
  const last = between(end - retentionSeconds, end);
  return QUANTITIES.flatMap(({ key, title, of = median }) => {
    const [before, after] = [readValues(second, key), readValues(last, key)];
    if (before.length === 0 || after.length === 0) return [];
    const [from, to] = [of(before), of(after)];
    const growth = from === to ? 0 : to / from - 1;
    return [{ key, title, second: from, last: to, growth, isWithin: growth <= GROWTH_MAX }];
  });
}

/**
 * Returns, for some quantities, the median before the snapshot, the largest value while it is held, and the time of recovery after it.
 *
 * @param {Sample[]} samples
 * @param {number} retentionSeconds
 */
export function measureRecovery(samples, retentionSeconds) {
  const held = samples.filter(({ isHeld }) => isHeld);
  if (held.length === 0) return undefined;
  const [from, to] = [held[0].seconds, held[held.length - 1].seconds];
  const before = samples.filter(({ seconds }) => seconds < from && seconds >= from - retentionSeconds);
  const after = samples.filter(({ seconds }) => seconds > to);
  return QUANTITIES.filter(({ key }) => HELD.includes(key)).flatMap(({ key, title }) => {
    const base = readValues(before, key);
    if (base.length === 0) return [];
    const limit = median(base) * RECOVERED_RATIO;
    const values = after.map((sample) => Number(sample[key]));
    const index = values.findIndex((_, at) => {
      const next = values.slice(at, at + RECOVERED_SAMPLES);
      return next.length === RECOVERED_SAMPLES && median(next) <= limit;
    });
    const most = Math.max(...readValues(held, key));
    const recoverySeconds = most <= limit ? 0 : index < 0 ? undefined : after[index].seconds - to;
    return [{ key, title, before: median(base), most, recoverySeconds }];
  });
}

/** @param {Sample[]} samples @param {keyof Sample} key @returns {number[]} */
export function readValues(samples, key) {
  return samples.map((sample) => Number(sample[key] ?? NaN)).filter((value) => Number.isFinite(value));
}
