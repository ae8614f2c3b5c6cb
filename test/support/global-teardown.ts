/** Ends what the global setup started. */
export default async function globalTeardown(): Promise<void> {
  await Promise.all(globalThis.endOfTestRun.map((end) => end()));
}
