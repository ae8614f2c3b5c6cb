import { toOneLine } from './text.js';

/** Where the queue writes what it does. Nest's `Logger` fits. No payload ever reaches it. */
export interface JobsLogger {
  /** One line per transition of a job: the operation log. */
  debug(message: string): void;
  /** Rare facts about the queue itself, such as its start. */
  log(message: string): void;
  /** What a person must act on. */
  warn(message: string): void;
  /** What went wrong and was survived. */
  error(message: string, stack?: string): void;
  /** Whether debug lines are wanted; when absent they are. Asked before each line is put together. */
  isDebugEnabled?(): boolean;
}

/** Says nothing. */
export const silentLogger: JobsLogger = {
  debug: () => undefined,
  log: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  isDebugEnabled: () => false,
};

/**
 * The same logger, but one that throws, whoever wrote it, ends neither a loop nor the process; and each message is one line,
 * whatever topics and error texts, which come from outside, have in them.
 */
export function guardLogger(logger: JobsLogger): JobsLogger {
  const quietly = <T>(write: () => T, fallback: T): T => {
    try {
      return write();
    } catch {
      // There is nowhere left to say it.
      return fallback;
    }
  };
  return {
    debug: (message) => quietly(() => logger.debug(toOneLine(message)), undefined),
    log: (message) => quietly(() => logger.log(toOneLine(message)), undefined),
    warn: (message) => quietly(() => logger.warn(toOneLine(message)), undefined),
    error: (message, stack) => quietly(() => logger.error(toOneLine(message), stack), undefined),
    isDebugEnabled: () => quietly(() => logger.isDebugEnabled?.() ?? true, false),
  };
}
