import { Logger } from '@nestjs/common';
import type { JobsLogger } from '../core/logger.js';
import { guardLogger } from '../core/logger.js';

/** For the engine. */
export const queueLogger = createLogger('Jobs');
/** For the module and the HTTP API. */
export const moduleLogger = createLogger('JobsModule');

/** Nest's logger. The application may replace it at any time. */
function createLogger(context: string): JobsLogger {
  const logger = new Logger(context);
  return guardLogger({
    debug: (message) => logger.debug(message),
    log: (message) => logger.log(message),
    warn: (message) => logger.warn(message),
    error: (message, stack) => logger.error(message, stack),
    isDebugEnabled,
  });
}

/** Private statics of Nest's `Logger`. */
interface LoggerStatics {
  /** `undefined` with `logger: false`. */
  readonly staticInstanceRef: { isLevelEnabled?(level: 'debug'): boolean } | undefined;
  /** Set by applications that pass a list of levels. */
  readonly logLevels: readonly string[] | undefined;
}

/**
 * Whether a debug line would be printed. Asks a custom logger first, because in Nest 11 `Logger.isLevelEnabled` knows only the
 * levels that the application has listed with `logger: [...]`.
 */
function isDebugEnabled(): boolean {
  const { staticInstanceRef: logger, logLevels } = Logger as unknown as LoggerStatics;
  if (!logger) {
    return false;
  }
  return logger.isLevelEnabled ? logger.isLevelEnabled('debug') : !logLevels || Logger.isLevelEnabled('debug');
}
