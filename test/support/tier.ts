/** Whether `npm run test:matrix` runs: it takes more seeds and more rows than `npm test`. */
export const isMatrix = process.env.JOBS_TEST_TIER === 'matrix';
