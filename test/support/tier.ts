/** Whether `npm run test:matrix` runs: it takes more seeds and more rows than `npm test`. */
export const isMatrix = process.env.JOBS_TEST_TIER === 'matrix';

declare global {
  /** What `quick()` declares in the current file. */
  var quickTests: Set<unknown>;
}

/** Declares a test that `npm test` runs although a tag at the top of the file leaves it to the matrix. */
export function quick(title: string, test: () => Promise<void>, timeoutMs?: number): void {
  quickTests.add(test);
  globalThis.it(title, test, timeoutMs);
}
