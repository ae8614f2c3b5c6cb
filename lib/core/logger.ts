import { toOneLine } from './text.js';

/** A line of the log as an object, with `log: 'json'`. */
interface LogRecord extends LogFields {
  readonly message: string;
}

/** What a line is about. Names are snake_case. */
export interface LogFields {
  readonly [name: string]: string | number | boolean;
}

/** The queue's log. Nest's `Logger` fits. The queue never logs a payload. With `log: 'json'` each message is an object. */
export interface JobsLogger {
  /** One line per transition of a job: the operation log. */
  debug(message: string | LogRecord): void;
  /** Rare events of the queue itself, such as its start. */
  log(message: string | LogRecord): void;
  /** Problems that an operator must solve. */
  warn(message: string | LogRecord): void;
  /** Errors that the queue survived. */
  error(message: string | LogRecord, stack?: string): void;
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

/** The log of the parts of the queue. They write text, and a function that returns the fields for `log: 'json'`. */
export interface GuardedLogger extends JobsLogger {
  debug(message: string | LogRecord, fields?: () => LogFields): void;
  warn(message: string | LogRecord, fields?: () => LogFields): void;
}

/**
 * Wraps the application's logger. An error that it throws ends neither a loop nor the process. Each message becomes one
 * line, because topics and error texts come from outside and may contain line breaks.
 *
 * @param format `json` passes objects with the message and its fields; `text` drops the fields.
 */
export function guardLogger(logger: JobsLogger, format: 'text' | 'json' = 'text'): GuardedLogger {
  const guard = <T>(write: () => T, fallback: T): T => {
    try {
      return write();
    } catch {
      // There is no other place to report an error of the logger.
      return fallback;
    }
  };
  const toLine = (message: string | LogRecord, fields?: () => LogFields): string | LogRecord => {
    if (typeof message !== 'string') {
      return message;
    }
    const line = toOneLine(message);
    return format === 'json' ? { message: line, ...fields?.() } : line;
  };
  return {
    debug: (message, fields) => guard(() => logger.debug(toLine(message, fields)), undefined),
    log: (message) => guard(() => logger.log(toLine(message)), undefined),
    warn: (message, fields) => guard(() => logger.warn(toLine(message, fields)), undefined),
    error: (message, stack) => guard(() => logger.error(toLine(message), stack), undefined),
    isDebugEnabled: () => guard(() => logger.isDebugEnabled?.() ?? true, false),
  };
}
