import { Logger } from '@nestjs/common';
import type { JobsLogger } from '../core/logger.js';
import { guardLogger } from '../core/logger.js';

/** What the queue itself does. */
export const queueLogger = nestLoggerOf('Jobs');
/** How it is tied to the application, and what comes over HTTP. */
export const moduleLogger = nestLoggerOf('JobsModule');

/** Nest's logger, which an application may replace at any time. */
function nestLoggerOf(context: string): JobsLogger {
  const logger = new Logger(context);
  return guardLogger({
    debug: (message) => logger.debug(message),
    log: (message) => logger.log(message),
    warn: (message) => logger.warn(message),
    error: (message, stack) => logger.error(message, stack),
    isDebugEnabled,
  });
}

/** What Nest keeps of the application's choice, for the whole process. */
interface LoggerChoice {
  /** `undefined` with `logger: false`. */
  readonly staticInstanceRef: { isLevelEnabled?(level: 'debug'): boolean } | undefined;
  /** Given as a list; `undefined` for most. */
  readonly logLevels: readonly string[] | undefined;
}

/**
 * Whether anybody would see a debug line. Nest 12 tells by `Logger.isLevelEnabled`; that of Nest 11 says no to every level as
 * long as the application has not listed any, and its logger prints them all the same.
 */
function isDebugEnabled(): boolean {
  const { staticInstanceRef: chosen, logLevels } = Logger as unknown as LoggerChoice;
  if (!chosen) {
    return false;
  }
  return chosen.isLevelEnabled ? chosen.isLevelEnabled('debug') : !logLevels || Logger.isLevelEnabled('debug');
}
