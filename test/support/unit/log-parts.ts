import type { Clock } from '../../../lib/core/clock.js';
import type { JobsLogger } from '../../../lib/core/logger.js';
import { silentLogger } from '../../../lib/core/logger.js';
import type { EngineParts } from '../../../lib/engine/runtime/engine-parts.js';
import { FailureLog } from '../../../lib/engine/runtime/failure-log.js';

/** The parts of an engine that measure time and log. */
export function logParts(
  clock: Clock,
  logger: JobsLogger = silentLogger,
): Pick<EngineParts, 'clock' | 'logger' | 'failureLog'> {
  return { clock, logger, failureLog: new FailureLog(clock, logger) };
}
