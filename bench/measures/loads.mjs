import { highestRate, steady } from './steady.mjs';

/** @typedef {import('./index.mjs').Measure} Measure */
/** @typedef {import('./index.mjs').Stand} Stand */

/** The peers take a few hundred single enqueues a second. @param {number} rate */
const steadyContenders = (rate) => [
  'ours-pg',
  'raw-pg-listening',
  ...(rate <= 300 ? ['graphile-worker', 'pg-boss'] : []),
  'bullmq',
  'ours-sqlite',
];

/** @type {Measure[]} */
export const loads = [0, 5].flatMap((handlerMs) =>
  [1, 4].flatMap((processes) => [
    ...[200, 300, 1_000, 3_000, 6_000].map((rate) => ({
      name: `steady-${handlerMs}ms-${processes}-${rate}`,
      group: `steady-${handlerMs}ms-${processes}`,
      title: `99th percentile of the wait by jobs a second, handlers of ${handlerMs} ms, worker processes: ${processes}`,
      x: rate,
      unit: 'ms',
      better: /** @type {const} */ ('less'),
      contenders: steadyContenders(rate),
      jobs: 10,
      run: (/** @type {Stand} */ stand, /** @type {number} */ seconds) =>
        steady(stand, { rate, seconds, processes, handlerMs }),
    })),
    {
      name: `steady-most-${handlerMs}ms-${processes}`,
      title: `most jobs a second with a 99th percentile of the wait below 50 ms, handlers of ${handlerMs} ms, worker processes: ${processes}`,
      unit: 'jobs/s',
      better: /** @type {const} */ ('more'),
      contenders: ['ours-pg', 'raw-pg-listening', 'graphile-worker', 'pg-boss', 'bullmq', 'ours-sqlite'],
      jobs: 4,
      run: (/** @type {Stand} */ stand, /** @type {number} */ seconds) =>
        highestRate(stand, { seconds, processes, handlerMs }),
    },
  ]),
);
