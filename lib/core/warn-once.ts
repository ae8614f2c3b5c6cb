import type { JobsLogger } from './logger.js';

/** What warnings are about. */
type WarningSubject = 'results' | 'payload keys';

/** The keys of the warnings that each logger has written. */
const written = new WeakMap<JobsLogger, Map<WarningSubject, Set<string>>>();
/** Bounds the memory of a subject: keys contain topics, and text of jobs. Many warnings of one subject do not silence another. */
const WARNINGS_MAX = 1_000;

/** Logs a warning, once for each key. */
export function warnOnce(logger: JobsLogger, subject: WarningSubject, key: string, text: string): void {
  const subjects = written.get(logger) ?? new Map<WarningSubject, Set<string>>();
  const keys = subjects.get(subject) ?? new Set<string>();
  written.set(logger, subjects.set(subject, keys));
  if (!keys.has(key) && keys.size < WARNINGS_MAX) {
    keys.add(key);
    logger.warn(text);
  }
}
