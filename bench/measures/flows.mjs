import { drain } from './drain.mjs';
import { jobsPerSecond, milliseconds } from './units.mjs';

/** Drains of jobs that wait for others. @type {import('./index.mjs').Measure[]} */
export const flows = [
  {
    name: 'fan-in',
    title: 'drain of jobs for which one job waits, one process',
    ...jobsPerSecond,
    contenders: ['ours-pg', 'raw-pg', 'bullmq', 'ours-sqlite', 'raw-sqlite'],
    jobs: 10_000,
    alternates: 'fan-in',
    run: (stand, count) => drain(stand, { count, filling: { flow: 'fan-in' } }),
  },
  {
    name: 'fan-in-plain',
    title: 'drain of as many jobs for which no job waits',
    ...jobsPerSecond,
    contenders: ['ours-pg', 'raw-pg', 'bullmq', 'ours-sqlite', 'raw-sqlite'],
    jobs: 10_000,
    alternates: 'fan-in',
    run: (stand, count) => drain(stand, { count }),
  },
  {
    name: 'chain',
    title: 'chain of jobs, each waits for the one before, one process',
    ...milliseconds,
    contenders: ['ours-pg', 'bullmq', 'ours-sqlite'],
    jobs: 100,
    run: async (stand, count) => {
      const figure = await drain(stand, { count, filling: { flow: 'chain' } });
      return { ...figure, value: (count / figure.value) * 1_000 };
    },
  },
];
