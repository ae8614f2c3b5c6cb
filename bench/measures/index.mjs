import { drain } from './drain.mjs';
import { enqueue } from './enqueue.mjs';

/**
 * What a measure is given: its contender, and an arena for it.
 *
 * @typedef {object} Stand
 * @property {import('../contenders/index.mjs').Contender} contender
 * @property {(filling: import('../arena.mjs').Filling) => Promise<import('../arena.mjs').Arena>} arena
 *
 * @typedef {object} Figure one measurement
 * @property {number} value
 * @property {number} [p50Ms]
 * @property {number} [p99Ms]
 * @property {number} [nodeSeconds] per 100,000 jobs
 * @property {number} [serverSeconds] per 100,000 jobs
 * @property {number} [peakMb]
 * @property {Record<string, unknown>} [facts]
 *
 * @typedef {object} Measure
 * @property {string} name
 * @property {string} title
 * @property {string} unit
 * @property {'more' | 'less'} better
 * @property {string[]} contenders
 * @property {number} jobs of a whole run; `--quick` takes `quickJobs`, or leaves it out
 * @property {number} [quickJobs]
 * @property {(stand: Stand, jobs: number) => Promise<Figure>} run
 */

const POSTGRES = ['ours-pg', 'raw-pg', 'graphile-worker', 'pg-boss'];
const REDIS = ['bullmq', 'bullmq-always'];
const SQLITE = ['ours-sqlite', 'ours-sqlite-full', 'ours-sqlite3', 'raw-sqlite', 'plainjob'];

/** @type {Measure[]} */
export const measures = [
  {
    name: 'enqueue-one',
    title: 'enqueue one by one',
    unit: 'jobs/s',
    better: 'more',
    contenders: [...POSTGRES, ...REDIS, ...SQLITE],
    jobs: 5_000,
    quickJobs: 1_000,
    run: (stand, count) => enqueue(stand, { how: 'one by one', count }),
  },
  {
    name: 'enqueue-64',
    title: 'enqueue, 64 callers at once',
    unit: 'jobs/s',
    better: 'more',
    contenders: [...POSTGRES, ...REDIS, ...SQLITE],
    jobs: 50_000,
    quickJobs: 5_000,
    run: (stand, count) => enqueue(stand, { how: 'callers', callers: 64, count }),
  },
  {
    name: 'enqueue-bulk',
    title: 'enqueue in bulk, 1,000 a call',
    unit: 'jobs/s',
    better: 'more',
    contenders: [...POSTGRES, ...REDIS, ...SQLITE],
    jobs: 100_000,
    quickJobs: 10_000,
    run: (stand, count) => enqueue(stand, { how: 'bulk', count }),
  },
  {
    name: 'drain',
    title: 'drain, one process',
    unit: 'jobs/s',
    better: 'more',
    contenders: [...POSTGRES, 'ours-pg-removing', 'ours-nest', ...REDIS, 'bullmq-removing', ...SQLITE],
    jobs: 100_000,
    quickJobs: 10_000,
    run: (stand, count) => drain(stand, { count }),
  },
  {
    name: 'drain-default',
    title: 'drain with default options of everyone, one process',
    unit: 'jobs/s',
    better: 'more',
    contenders: [
      'ours-pg-default',
      'ours-pg',
      'graphile-worker-default',
      'pg-boss-default',
      'bullmq-default',
      'ours-sqlite-default',
      'plainjob-default',
    ],
    jobs: 100_000,
    run: (stand, count) => drain(stand, { count: Math.min(count, stand.contender.most?.drain ?? Infinity) }),
  },
  {
    name: 'drain-2',
    title: 'drain, two processes',
    unit: 'jobs/s',
    better: 'more',
    contenders: [...POSTGRES, ...REDIS],
    jobs: 100_000,
    quickJobs: 10_000,
    run: (stand, count) => drain(stand, { count, processes: 2 }),
  },
];

/** @param {string} name @returns {Measure} */
export function measureNamed(name) {
  const found = measures.find((measure) => measure.name === name);
  if (!found) throw new Error(`no measure '${name}'; there are: ${measures.map((one) => one.name).join(', ')}`);
  return found;
}
