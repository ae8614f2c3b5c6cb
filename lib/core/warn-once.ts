import type { JobsLogger } from './logger.js';

/** The warnings that each logger has written. */
const written = new WeakMap<JobsLogger, Set<string>>();
/** Bounds the memory: keys contain topics, and text of jobs. */
const WARNINGS_MAX = 1_000;

/** Logs a warning, once for each key. */
export function warnOnce(logger: JobsLogger, key: string, text: string): void {
  const keys = written.get(logger) ?? new Set();
  written.set(logger, keys);
  if (!keys.has(key) && keys.size < WARNINGS_MAX) {
    keys.add(key);
    logger.warn(text);
  }
}
