import { herd } from './herd.mjs';
import { highestRate, steady } from './steady.mjs';

/** @typedef {import('./index.mjs').Measure} Measure */
/** @typedef {import('./index.mjs').Stand} Stand */

/** The highest rate at which contenders run that store only a few hundred jobs a second in single calls. */
const SLOW_RATE_MOST = 1_000;

/** @param {number} rate */
const steadyContenders = (rate) => [
  'ours-pg',
  'raw-pg-listening',
  'raw-pg-listening-10',
  ...(rate <= SLOW_RATE_MOST ? ['graphile-worker', 'pg-boss', 'sidequest-pg'] : []),
  'bullmq',
  'ours-sqlite',
  'plainjob',
  ...(rate <= SLOW_RATE_MOST ? ['sidequest-sqlite'] : []),
];

/** @type {Measure[]} */
const steadyRates = [0, 5].flatMap((handlerMs) =>
  [1, 4].flatMap((processes) => [
    ...[200, 300, 1_000, 3_000, 6_000].map((rate) => ({
      name: `steady-${handlerMs}ms-${processes}-${rate}`,
      group: `steady-${handlerMs}ms-${processes}`,
      title: `99th percentile of the wait by jobs a second, handlers of ${handlerMs} ms, worker processes: ${processes}`,
      x: rate,
      xTitle: 'jobs/s',
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
      contenders: steadyContenders(0),
      jobs: 4,
      run: (/** @type {Stand} */ stand, /** @type {number} */ seconds) =>
        highestRate(stand, { seconds, processes, handlerMs }),
    },
  ]),
);

/** @type {Measure[]} */
const herds = [1, 8, 20, 50].map((processes) => ({
  name: `herd-${processes}`,
  group: 'herd',
  x: processes,
  xTitle: 'processes',
  title: 'transactions for each job on an idle queue, by processes',
  unit: 'transactions/job',
  better: /** @type {const} */ ('less'),
  contenders: ['ours-pg', 'graphile-worker', 'pg-boss', 'sidequest-pg-100ms'],
  jobs: 200,
  run: (/** @type {Stand} */ stand, /** @type {number} */ count) => herd(stand, { count, processes }),
}));

/** @type {Measure[]} */
export const loads = [...steadyRates, ...herds];
