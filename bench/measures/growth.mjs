import { drain } from './drain.mjs';
import { pickup } from './pickup.mjs';

/** @typedef {import('./index.mjs').Measure} Measure */

/** All payloads of a measurement together are not larger. */
const PAYLOAD_BYTES_MAX = 200_000_000;
/** Handlers that wait are measured for about so long. */
const WAITING_SECONDS = 5;

/**
 * Measures that differ in one thing, for tables and plots of how cost grows with it.
 *
 * @param {Pick<Measure, 'title' | 'contenders' | 'run'> & Partial<Measure> & { group: string }} shared
 * @param {number[]} xs
 * @param {(x: number) => Pick<Measure, 'run'> & Partial<Measure>} of
 * @returns {Measure[]}
 */
const series = (shared, xs, of) =>
  xs.map((x) => ({
    unit: 'jobs/s',
    better: 'more',
    jobs: 100_000,
    ...shared,
    name: `${shared.group}-${x}`,
    x,
    ...of(x),
  }));

const shared = (/** @type {string} */ group, /** @type {string} */ title, /** @type {string[]} */ ...contenders) => ({
  group,
  title,
  contenders,
  run: /** @type {Measure['run']} */ (() => Promise.reject(new Error('each has its own'))),
});

/** @type {Measure[]} */
export const growth = [
  ...series(
    shared('growth-kept', 'drain by finished rows kept', 'ours-pg', 'raw-pg', 'ours-sqlite'),
    [0, 10_000, 100_000, 1_000_000],
    (x) => ({ run: (stand, count, scale) => drain(stand, { count, filling: { kept: Math.round(x * scale) } }) }),
  ),
  ...series(
    shared('growth-backlog', 'drain by jobs in the backlog', 'ours-pg', 'graphile-worker', 'pg-boss', 'ours-sqlite'),
    [1_000, 10_000, 100_000, 1_000_000],
    (x) => ({ jobs: x, run: (stand, count) => drain(stand, { count }) }),
  ),
  ...series(
    shared('growth-topics', 'drain by topics', 'ours-pg', 'graphile-worker', 'ours-sqlite'),
    [1, 10, 100, 1_000],
    (x) => ({
      run: (stand, count) => drain(stand, { count, topics: Array.from({ length: x }, (_, index) => `work_${index}`) }),
    }),
  ),
  ...series(
    shared('growth-processes', 'drain by worker processes', 'ours-pg', 'graphile-worker', 'pg-boss', 'bullmq'),
    [1, 2, 4, 8],
    (x) => ({ run: (stand, count) => drain(stand, { count, processes: x }) }),
  ),
  ...series(
    shared('growth-payload', 'drain by payload bytes', 'ours-pg', 'graphile-worker', 'pg-boss', 'ours-sqlite'),
    [10, 1_000, 10_000, 100_000],
    (x) => ({
      run: (stand, count) => drain(stand, { count: Math.min(count, Math.floor(PAYLOAD_BYTES_MAX / x)), padBytes: x }),
    }),
  ),
  ...series(
    shared('growth-handler', 'drain by handler milliseconds, 10 at once', 'ours-pg-default', 'ours-sqlite-default'),
    [1, 10, 100, 1_000],
    (x) => ({
      run: (stand, count) => {
        const most = Math.ceil((WAITING_SECONDS * 10_000) / x);
        return drain(stand, { count: Math.min(count, most), handlerMs: x });
      },
    }),
  ),
  ...series(
    {
      ...shared('growth-pickup', 'pickup by finished rows kept', 'ours-pg', 'ours-sqlite'),
      unit: 'ms',
      better: 'less',
    },
    [0, 10_000, 100_000, 1_000_000],
    (x) => ({
      jobs: 200,
      run: (stand, count, scale) => pickup(stand, { count, filling: { kept: Math.round(x * scale) } }),
    }),
  ),
];
