import { toOneLine } from './text.js';

/** The queue's log. Nest's `Logger` fits. The queue never logs a payload. */
export interface JobsLogger {
  /** One line per transition of a job: the operation log. */
  debug(message: string): void;
  /** Rare events of the queue itself, such as its start. */
  log(message: string): void;
  /** Problems that an operator must solve. */
  warn(message: string): void;
  /** Errors that the queue survived. */
  error(message: string, stack?: string): void;
  /** Returns whether debug lines are wanted. Called before each line is built. Default: they are. */
  isDebugEnabled?(): boolean;
}

/** Logs nothing. */
export const silentLogger: JobsLogger = {
  debug: () => undefined,
  log: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  isDebugEnabled: () => false,
};

/**
 * Wraps the application's logger. An error that it throws ends neither a loop nor the process. Each message becomes one
 * line, because topics and error texts come from outside and may contain line breaks.
 */
export function guardLogger(logger: JobsLogger): JobsLogger {
  const guard = <T>(write: () => T, fallback: T): T => {
    try {
      return write();
    } catch {
      // There is no other place to report an error of the logger.
      return fallback;
    }
  };
  return {
    debug: (message) => guard(() => logger.debug(toOneLine(message)), undefined),
    log: (message) => guard(() => logger.log(toOneLine(message)), undefined),
    warn: (message) => guard(() => logger.warn(toOneLine(message)), undefined),
    error: (message, stack) => guard(() => logger.error(toOneLine(message), stack), undefined),
    isDebugEnabled: () => guard(() => logger.isDebugEnabled?.() ?? true, false),
  };
}
