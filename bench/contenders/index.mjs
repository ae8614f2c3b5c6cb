/**
 * Whoever takes part. `base` names the queue, whose tables several contenders share; `options` is what is not left at
 * its default, as it is printed and as the adapter takes it; `most` bounds the jobs of a measure for those who would
 * take minutes.
 *
 * @typedef {object} Contender
 * @property {string} name
 * @property {string} base
 * @property {'postgres' | 'redis' | 'sqlite'} engine
 * @property {string} adapter module of this folder
 * @property {Record<string, unknown>} options
 * @property {boolean} keepsRows whether a finished job can be looked at
 * @property {Record<string, number>} [most]
 */

/** @type {Record<string, Omit<Contender, 'name' | 'options' | 'keepsRows'>>} */
const BASES = {
  ours: { base: 'ours', engine: 'postgres', adapter: 'ours.mjs' },
  nest: { base: 'ours', engine: 'postgres', adapter: 'ours-nest.mjs' },
  nestSqlite: { base: 'ours-sqlite', engine: 'sqlite', adapter: 'ours-nest.mjs' },
  rawPg: { base: 'ours', engine: 'postgres', adapter: 'raw-pg.mjs' },
  graphile: { base: 'graphile-worker', engine: 'postgres', adapter: 'graphile-worker.mjs' },
  boss: { base: 'pg-boss', engine: 'postgres', adapter: 'pg-boss.mjs' },
  sidequest: { base: 'sidequest', engine: 'postgres', adapter: 'sidequest.mjs' },
  sidequestSqlite: { base: 'sidequest-sqlite', engine: 'sqlite', adapter: 'sidequest.mjs' },
  bull: { base: 'bullmq', engine: 'redis', adapter: 'bullmq.mjs' },
  oursSqlite: { base: 'ours-sqlite', engine: 'sqlite', adapter: 'ours.mjs' },
  rawSqlite: { base: 'ours-sqlite', engine: 'sqlite', adapter: 'raw-sqlite.mjs' },
  rawSqlite3: { base: 'ours-sqlite', engine: 'sqlite', adapter: 'raw-sqlite3.mjs' },
  plain: { base: 'plainjob', engine: 'sqlite', adapter: 'plainjob.mjs' },
};

/** What the documentation of graphile-worker says it was measured with. */
const GRAPHILE_BEST = {
  concurrentJobs: 24,
  maxPoolSize: 25,
  localQueue: { size: 500 },
  completeJobBatchDelay: 0,
  failJobBatchDelay: 0,
};

/** Batches, fetched one after another while they are full; the listener tells of jobs that come in between. */
const BOSS_BEST = {
  useListenNotify: true,
  queue: { notify: true },
  work: { batchSize: 1_000, burstWhenBatchFull: true, pollingIntervalSeconds: 0.5, localConcurrency: 2 },
};

/** The documentation of BullMQ advises 100 to 300 for jobs that wait for others. */
const BULL_BEST = { worker: { concurrency: 200 } };

/** Jobs run in the process that claims them, not in threads of a child process. */
const SIDEQUEST_IN_PROCESS = { fork: false, runner: 'inline' };

/** It polls every millisecond instead of every 100 ms. */
const SIDEQUEST_BEST = {
  ...SIDEQUEST_IN_PROCESS,
  maxConcurrentJobs: 100,
  queueDefaults: { concurrency: 100 },
  jobPollingInterval: 1,
};

/** Plain functions finish in microseconds. With this many slots, no job waits for a slot. */
const OURS_BEST = { concurrency: 100 };

/** What one topic may do, over all processes. */
const LIMITED = { concurrency: 50 };
const KEYED = { perKey: 2 };
const RATED = { rate: { limit: 500, per: '1s' } };

/** @type {Contender[]} */
export const contenders = [
  { name: 'ours-pg', ...BASES.ours, options: OURS_BEST, keepsRows: true },
  { name: 'ours-pg-removing', ...BASES.ours, options: { ...OURS_BEST, retention: 0 }, keepsRows: false },
  { name: 'ours-pg-default', ...BASES.ours, options: {}, keepsRows: true },
  { name: 'ours-nest', ...BASES.nest, options: OURS_BEST, keepsRows: true },
  { name: 'ours-nest-sqlite', ...BASES.nestSqlite, options: {}, keepsRows: true },
  { name: 'ours-pg-limited', ...BASES.ours, options: { ...OURS_BEST, limits: LIMITED }, keepsRows: true },
  { name: 'ours-pg-keyed', ...BASES.ours, options: { ...OURS_BEST, limits: KEYED }, keepsRows: true },
  { name: 'ours-pg-rated', ...BASES.ours, options: { ...OURS_BEST, limits: RATED }, keepsRows: true },
  { name: 'raw-pg', ...BASES.rawPg, options: { batch: 1_000, loops: 2 }, keepsRows: true },
  { name: 'raw-pg-listening', ...BASES.rawPg, options: { batch: 1_000, loops: 1, listens: true }, keepsRows: true },
  { name: 'raw-pg-listening-10', ...BASES.rawPg, options: { batch: 10, loops: 10, listens: true }, keepsRows: true },
  { name: 'graphile-worker', ...BASES.graphile, options: GRAPHILE_BEST, keepsRows: false, most: { callers: 10_000 } },
  {
    name: 'graphile-worker-default',
    ...BASES.graphile,
    options: {},
    keepsRows: false,
    most: { drain: 10_000 },
  },
  { name: 'pg-boss', ...BASES.boss, options: BOSS_BEST, keepsRows: true, most: { callers: 10_000 } },
  {
    name: 'pg-boss-keyed',
    ...BASES.boss,
    options: { ...BOSS_BEST, work: { ...BOSS_BEST.work, groupConcurrency: 2 } },
    keepsRows: true,
    most: { drain: 5_000 },
  },
  { name: 'pg-boss-default', ...BASES.boss, options: {}, keepsRows: true, most: { drain: 10 } },
  {
    name: 'sidequest-pg',
    ...BASES.sidequest,
    options: SIDEQUEST_BEST,
    keepsRows: true,
    most: { callers: 5_000, drain: 5_000 },
  },
  { name: 'sidequest-pg-default', ...BASES.sidequest, options: {}, keepsRows: true, most: { drain: 1_000 } },
  { name: 'sidequest-pg-100ms', ...BASES.sidequest, options: SIDEQUEST_IN_PROCESS, keepsRows: true },
  { name: 'bullmq', ...BASES.bull, options: BULL_BEST, keepsRows: true },
  {
    name: 'bullmq-removing',
    ...BASES.bull,
    options: { ...BULL_BEST, queue: { defaultJobOptions: { removeOnComplete: true } } },
    keepsRows: false,
  },
  {
    name: 'bullmq-always',
    ...BASES.bull,
    options: { ...BULL_BEST, redis: { appendonly: 'yes', appendfsync: 'always' } },
    keepsRows: true,
  },
  { name: 'bullmq-limited', ...BASES.bull, options: { ...BULL_BEST, globalConcurrency: 50 }, keepsRows: true },
  {
    name: 'bullmq-rated',
    ...BASES.bull,
    options: { worker: { ...BULL_BEST.worker, limiter: { max: 500, duration: 1_000 } } },
    keepsRows: true,
  },
  { name: 'bullmq-default', ...BASES.bull, options: {}, keepsRows: true, most: { drain: 20_000 } },
  {
    name: 'ours-sqlite',
    ...BASES.oursSqlite,
    options: { concurrency: 100, sqlite: { synchronous: 'normal' } },
    keepsRows: true,
  },
  {
    name: 'ours-sqlite-limited',
    ...BASES.oursSqlite,
    options: { concurrency: 100, sqlite: { synchronous: 'normal' }, limits: LIMITED },
    keepsRows: true,
  },
  {
    name: 'ours-sqlite-keyed',
    ...BASES.oursSqlite,
    options: { concurrency: 100, sqlite: { synchronous: 'normal' }, limits: KEYED },
    keepsRows: true,
  },
  { name: 'ours-sqlite-full', ...BASES.oursSqlite, options: { concurrency: 100 }, keepsRows: true },
  { name: 'ours-sqlite-default', ...BASES.oursSqlite, options: {}, keepsRows: true },
  {
    name: 'ours-sqlite3',
    ...BASES.oursSqlite,
    options: { driver: 'sqlite3', concurrency: 100, sqlite: { synchronous: 'normal' } },
    keepsRows: true,
  },
  {
    name: 'raw-sqlite',
    ...BASES.rawSqlite,
    options: { batch: 1_000, synchronous: 'normal' },
    keepsRows: true,
  },
  {
    name: 'raw-sqlite3-5ms',
    ...BASES.rawSqlite3,
    options: { batch: 1_000, pollMs: 5, synchronous: 'normal' },
    keepsRows: true,
  },
  { name: 'plainjob', ...BASES.plain, options: { pollIntervall: 1 }, keepsRows: true },
  { name: 'plainjob-5ms', ...BASES.plain, options: { pollIntervall: 5 }, keepsRows: true },
  {
    name: 'plainjob-default',
    ...BASES.plain,
    options: {},
    keepsRows: true,
    most: { drain: 20_000, pickup: 50 },
  },
  {
    name: 'sidequest-sqlite',
    ...BASES.sidequestSqlite,
    options: { ...SIDEQUEST_BEST, pragmas: ['journal_mode = wal', 'synchronous = normal'] },
    keepsRows: true,
    most: { callers: 5_000, drain: 5_000 },
  },
];

/** @param {string} name @returns {Contender} */
export function contenderNamed(name) {
  const found = contenders.find((contender) => contender.name === name);
  if (!found) throw new Error(`no contender '${name}'; there are: ${contenders.map((one) => one.name).join(', ')}`);
  return found;
}

/**
 * What an adapter gives: the same few verbs for everybody.
 *
 * @typedef {object} Queue
 * @property {(payload: Payload, where?: Where) => Promise<unknown>} enqueue one job of the topic `work`; peers ignore `where`
 * @property {(payloads: Payload[], where?: Where) => Promise<unknown>} enqueueMany many, in the quickest way there is
 * @property {(payloads: Payload[], flow: Flow) => Promise<unknown>} [enqueueFlow] jobs of the topic `work` that wait for each other
 * @property {(topics: string[], run: (payload: Payload) => Promise<void>) => Promise<void>} work begins to run jobs
 * @property {(topics: string[]) => Promise<boolean>} isDrained whether no due job of these topics is unfinished
 * @property {(topics: string[]) => Promise<Tally>} tally what the table says
 * @property {() => Promise<Record<string, unknown>>} facts settings as they hold, for assertions and for the record
 * @property {() => Promise<void>} close
 * @property {boolean} [runsElsewhere] whether child processes run the jobs, so that CPU time and memory are not measured
 * @property {any} [engine] what applications ask; ours only
 * @property {(adminToken: string) => Promise<string>} [serve] answers over HTTP, at this address; ours only
 *
 * @typedef {{ n: number, sentMs?: number, pad?: string }} Payload
 * @typedef {{ topic?: string, delayMs?: number, keys?: number }} Where
 * @typedef {'fan-in' | 'chain'} Flow the last job waits for all others, or each job waits for the one before
 * @typedef {object} Tally
 * @property {number} finished rows of finished jobs
 * @property {number} unfinished
 * @property {number} repeated jobs that took more than one attempt
 *
 * @typedef {object} Adapter
 * @property {(address: string, options: any) => Promise<void>} prepare makes the tables
 * @property {(address: string, options: any) => Promise<Queue>} open
 */
