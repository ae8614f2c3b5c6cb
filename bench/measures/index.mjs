import { drain } from './drain.mjs';
import { enqueue } from './enqueue.mjs';
import { flows } from './flows.mjs';
import { growth } from './growth.mjs';
import { http } from './http.mjs';
import { idle } from './idle.mjs';
import { loads } from './loads.mjs';
import { pickup } from './pickup.mjs';
import { service } from './service.mjs';
import { snapshot } from './snapshot.mjs';
import { together } from './together.mjs';
import { jobsPerSecond, milliseconds } from './units.mjs';

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
 * @property {number} [p95Ms]
 * @property {number} [p99Ms]
 * @property {number} [p999Ms]
 * @property {number} [reachedRate] jobs a second that a queue started which fell behind; `value` is then not used
 * @property {number} [nodeSeconds] per 100,000 jobs
 * @property {number} [serverSeconds] per 100,000 jobs
 * @property {number} [walBytes] that PostgreSQL wrote ahead for each job
 * @property {number} [peakMb]
 * @property {number} [countedPerJob] transactions by the server's own count
 * @property {number} [idlePerProcess] transactions a second that an idle process sends
 * @property {number} [countedIdlePerProcess] the same by the server's own count
 * @property {number} [workersUsed] processes that ran at least one job
 * @property {number[]} [rates] of equal pieces, jobs a second
 * @property {{ name: string, p50Ms: number, p99Ms: number }[]} [parts]
 * @property {Record<string, unknown>} [facts]
 *
 * @typedef {object} Measure
 * @property {string} name
 * @property {string} title
 * @property {string} unit
 * @property {'more' | 'less'} better
 * @property {string[]} contenders
 * @property {number} jobs of a whole run
 * @property {number} [quickJobs] of `--quick`, which leaves it out without them
 * @property {string} [group] of measures that differ in one thing
 * @property {number} [x] that thing
 * @property {string} [xTitle] its unit
 * @property {string} [alternates] with the measures before and behind it of the same name, round by round: their ratio counts
 * @property {(stand: Stand, jobs: number, scale: number) => Promise<Figure>} run `scale` is 1 in a whole run, and smaller
 *   as there are fewer jobs than that: so are the rows that stand in the way
 */

const POSTGRES = ['ours-pg', 'raw-pg', 'graphile-worker', 'pg-boss', 'sidequest-pg'];
const REDIS = ['bullmq', 'bullmq-always'];
const SQLITE = ['ours-sqlite', 'ours-sqlite-full', 'ours-sqlite3', 'raw-sqlite', 'plainjob', 'sidequest-sqlite'];
const DEFAULTS = ['ours-pg', 'graphile-worker', 'pg-boss', 'sidequest-pg', 'bullmq'].map((name) => `${name}-default`);
const SQLITE_DEFAULTS = ['ours-sqlite-default', 'plainjob-default'];
const MILLION = 1_000_000;

const hundredTopics = Array.from({ length: 100 }, (_, index) => `work_${index}`);

/**
 * How many jobs a measure has of a contender that is bounded there.
 *
 * @param {Stand} stand
 * @param {string} kind
 * @param {number} count
 */
const atMost = ({ contender }, kind, count) => Math.min(count, contender.most?.[kind] ?? Infinity);

/** @type {Measure[]} */
const enqueueing = [
  {
    name: 'enqueue-one',
    title: 'enqueue one by one',
    ...jobsPerSecond,
    contenders: [...POSTGRES, ...REDIS, ...SQLITE],
    jobs: 5_000,
    quickJobs: 500,
    run: (stand, count) => enqueue(stand, { how: 'one by one', count }),
  },
  {
    name: 'enqueue-64',
    title: 'enqueue, 64 callers at once',
    ...jobsPerSecond,
    contenders: [...POSTGRES, ...REDIS, ...SQLITE],
    jobs: 50_000,
    quickJobs: 5_000,
    run: (stand, count) => enqueue(stand, { how: 'callers', callers: 64, count: atMost(stand, 'callers', count) }),
  },
  {
    name: 'enqueue-bulk',
    title: 'enqueue in bulk, 1,000 a call',
    ...jobsPerSecond,
    // Sidequest has no call for many jobs.
    contenders: [...POSTGRES, ...REDIS, ...SQLITE].filter((name) => !name.startsWith('sidequest')),
    jobs: 100_000,
    quickJobs: 10_000,
    run: (stand, count) => enqueue(stand, { how: 'bulk', count }),
  },
];

/** @type {Measure[]} */
const draining = [
  {
    name: 'drain',
    title: 'drain, one process',
    ...jobsPerSecond,
    contenders: [...POSTGRES, 'ours-pg-removing', 'ours-nest', ...REDIS, 'bullmq-removing', ...SQLITE],
    jobs: 100_000,
    quickJobs: 10_000,
    run: (stand, count) => drain(stand, { count: atMost(stand, 'drain', count) }),
  },
  {
    name: 'drain-default',
    title: 'drain with the default options of everyone, one process',
    ...jobsPerSecond,
    contenders: [...DEFAULTS, ...SQLITE_DEFAULTS],
    jobs: 100_000,
    run: (stand, count) => drain(stand, { count: atMost(stand, 'drain', count) }),
  },
  {
    name: 'drain-2',
    title: 'drain, two processes',
    ...jobsPerSecond,
    contenders: [...POSTGRES, ...REDIS],
    jobs: 100_000,
    run: (stand, count) => drain(stand, { count: atMost(stand, 'drain', count), processes: 2 }),
  },
  {
    name: 'together',
    title: 'producer with 64 callers and worker at once, a process each',
    ...jobsPerSecond,
    contenders: [...POSTGRES, ...REDIS, 'ours-sqlite', 'plainjob', 'sidequest-sqlite'],
    jobs: 50_000,
    quickJobs: 3_000,
    run: (stand, count) => together(stand, { count: atMost(stand, 'callers', count) }),
  },
];

/** @type {Measure[]} */
const waiting = [
  {
    name: 'pickup',
    title: 'pickup on an idle queue, from another process',
    ...milliseconds,
    contenders: [
      'ours-pg',
      'raw-pg-listening',
      'graphile-worker',
      'pg-boss',
      'sidequest-pg',
      ...REDIS,
      'ours-sqlite',
      'plainjob',
      'sidequest-sqlite',
    ],
    jobs: 500,
    quickJobs: 50,
    run: (stand, count) => pickup(stand, { count }),
  },
  {
    name: 'between-processes',
    title: 'pickup on an idle SQLite file, from another process',
    ...milliseconds,
    contenders: [
      'ours-sqlite',
      'ours-sqlite-full',
      'ours-sqlite3',
      'raw-sqlite3-5ms',
      'plainjob',
      'plainjob-5ms',
      'plainjob-default',
      'sidequest-sqlite',
    ],
    jobs: 500,
    quickJobs: 50,
    run: (stand, count) => pickup(stand, { count: atMost(stand, 'pickup', count) }),
  },
  {
    name: 'pickup-same',
    title: 'pickup on an idle queue, from the same process',
    ...milliseconds,
    contenders: [
      'ours-pg',
      'graphile-worker',
      'pg-boss',
      'sidequest-pg',
      ...REDIS,
      'ours-sqlite',
      'plainjob',
      'sidequest-sqlite',
    ],
    jobs: 500,
    run: (stand, count) => pickup(stand, { count, sameProcess: true }),
  },
  {
    name: 'pickup-quiet',
    title: 'pickup after eleven seconds without a job',
    ...milliseconds,
    contenders: ['ours-pg', 'graphile-worker', 'pg-boss', 'bullmq'],
    jobs: 10,
    run: (stand, count) => pickup(stand, { count, pauseMs: [11_000, 12_000] }),
  },
];

/** @type {Measure[]} */
const limiting = [
  {
    name: 'limited',
    title: 'drain of a topic that runs 50 jobs at once, eight processes',
    ...jobsPerSecond,
    contenders: ['ours-pg-limited', 'bullmq-limited', 'ours-sqlite-limited'],
    jobs: 30_000,
    run: (stand, count) => drain(stand, { count, processes: 8 }),
  },
  {
    name: 'keyed',
    title: 'drain of 200 tenants that run two jobs at once each, eight processes',
    ...jobsPerSecond,
    contenders: ['ours-pg-keyed', 'pg-boss-keyed', 'ours-sqlite-keyed'],
    jobs: 30_000,
    run: (stand, count) => drain(stand, { count: atMost(stand, 'drain', count), processes: 8, filling: { keys: 200 } }),
  },
  {
    name: 'rated',
    title: 'drain of a topic that starts 500 jobs a second, two processes',
    ...jobsPerSecond,
    contenders: ['ours-pg-rated', 'bullmq-rated'],
    jobs: 5_000,
    run: (stand, count) => drain(stand, { count, processes: 2 }),
  },
];

/** What else stands in the table; the figures are to be held against those of the empty one. */
const surroundings = [
  { name: 'kept', title: 'a million finished rows kept', filling: (/** @type {number} */ rows) => ({ kept: rows }) },
  {
    name: 'future',
    title: 'a million jobs due in a year',
    filling: (/** @type {number} */ rows) => ({ future: rows }),
  },
  {
    name: 'foreign',
    title: 'a million due jobs that nobody here handles',
    filling: (/** @type {number} */ rows) => ({ foreign: rows }),
  },
];

/** @type {Measure[]} */
const beside = surroundings.flatMap(({ name, title, filling }) => [
  {
    name: `drain-${name}`,
    title: `drain, ${title}`,
    ...jobsPerSecond,
    contenders: ['ours-pg', 'raw-pg', 'ours-sqlite'],
    jobs: 100_000,
    run: (stand, count, scale) => drain(stand, { count, filling: filling(Math.round(MILLION * scale)) }),
  },
  {
    name: `pickup-${name}`,
    title: `pickup, ${title}`,
    ...milliseconds,
    contenders: ['ours-pg', 'ours-sqlite'],
    jobs: 300,
    run: (stand, count, scale) => pickup(stand, { count, filling: filling(Math.round(MILLION * scale)) }),
  },
]);

/** @type {Measure[]} */
const others = [
  {
    name: 'drain-topics',
    title: 'drain, a hundred topics',
    ...jobsPerSecond,
    contenders: ['ours-pg', 'graphile-worker', 'ours-sqlite'],
    jobs: 100_000,
    run: (stand, count) => drain(stand, { count, topics: hundredTopics }),
  },
  {
    name: 'snapshot',
    title: 'drain beside a held snapshot: rate of the last twelfth by that of the first',
    unit: '',
    better: 'more',
    contenders: ['ours-pg', 'raw-pg', 'graphile-worker', 'pg-boss'],
    jobs: 600_000,
    run: (stand, count) => snapshot(stand, { count }),
  },
  {
    name: 'nest',
    title: 'CPU time of Node for each job, plain handlers and Nest handlers',
    unit: 'µs/job',
    better: 'less',
    contenders: ['ours-pg', 'ours-nest'],
    jobs: 100_000,
    run: async (stand, count) => {
      const figure = await drain(stand, { count });
      return { ...figure, value: figure.nodeSeconds * 10 };
    },
  },
  {
    name: 'idle',
    title: 'idle: statements a second of one process',
    unit: '/s',
    better: 'less',
    contenders: ['ours-pg', 'graphile-worker', 'pg-boss', 'sidequest-pg', 'sidequest-pg-100ms', 'bullmq'],
    jobs: 20,
    quickJobs: 3,
    run: (stand, seconds) => idle(stand, { seconds, value: 'statements' }),
  },
  {
    name: 'idle-cpu',
    title: 'idle: CPU time a second, of one process and the server',
    unit: 'ms/s',
    better: 'less',
    contenders: [
      'ours-pg',
      'graphile-worker',
      'pg-boss',
      'sidequest-pg',
      'sidequest-pg-100ms',
      'bullmq',
      'ours-sqlite',
      'ours-sqlite3',
      'plainjob',
      'plainjob-5ms',
      'plainjob-default',
      'sidequest-sqlite',
    ],
    jobs: 20,
    run: (stand, seconds) => idle(stand, { seconds, value: 'cpu' }),
  },
  {
    name: 'http',
    title: 'requests over HTTP in a table of a million finished jobs, slowest 99th percentile',
    ...milliseconds,
    contenders: ['ours-nest', 'ours-nest-sqlite'],
    jobs: 500,
    run: (stand, calls, scale) => http(stand, { calls, kept: Math.round(MILLION * scale) }),
  },
  {
    name: 'service',
    title: 'calls of the service in a table of a million finished jobs, slowest 99th percentile',
    ...milliseconds,
    contenders: ['ours-pg', 'ours-sqlite'],
    jobs: 500,
    run: (stand, calls, scale) => service(stand, { calls, kept: Math.round(MILLION * scale) }),
  },
];

/** @type {Measure[]} */
export const measures = [
  ...enqueueing,
  ...draining,
  ...limiting,
  ...flows,
  ...waiting,
  ...loads,
  ...beside,
  ...others,
  ...growth,
];

/** The measure of that name, or those of that group. @param {string} name @returns {Measure[]} */
export function measuresNamed(name) {
  const found = measures.filter((measure) => measure.name === name || measure.group === name);
  if (found.length === 0) {
    const names = new Set(measures.map((one) => one.group ?? one.name));
    throw new Error(`no measure '${name}'; there are: ${[...names].join(', ')}`);
  }
  return found;
}
