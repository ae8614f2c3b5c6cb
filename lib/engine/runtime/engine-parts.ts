import type { Clock } from '../../core/clock.js';
import type { JobEvent } from '../../core/job-events.js';
import type { GuardedLogger } from '../../core/logger.js';
import type { JobsSettings } from '../../core/options.js';
import type { JobStore } from '../../store/job-store.js';
import type { PayloadDecoder } from '../codec/payload-decoder.js';
import type { LiveWorkers } from './live-workers.js';
import type { FailureLog } from './failure-log.js';
import type { HandlerRegistry } from './handler-registry.js';
import type { JobHook } from './job-hook.js';
import type { WakeSignal } from './wake-signal.js';

/** The options and objects that the parts of one engine share. A part takes what it uses: `Pick<EngineParts, 'store' | 'clock'>`. */
export interface EngineParts extends JobsSettings {
  readonly store: JobStore;
  readonly clock: Clock;
  readonly logger: GuardedLogger;
  readonly failureLog: FailureLog;
  /** Returns a number in [0, 1), for jitter. */
  readonly random: () => number;
  /** Names this process in `locked_by`. */
  readonly worker: string;
  readonly registry: HandlerRegistry;
  /** Runs around enqueues and handlers. Its members are `undefined` when no option needs them. */
  readonly hook: JobHook;
  /** Decodes payloads; `undefined` when the testing kit calls a handler with a plain one. */
  readonly decoder?: PayloadDecoder | undefined;
  /** The processes that share notifications and polls with this one. */
  readonly liveWorkers: LiveWorkers;
  /** Wakes the dispatcher of this process, and the other processes. */
  readonly wakeSignal: WakeSignal;
  /** Logs, counts and publishes an event. Called after its write has committed. */
  readonly emit: (event: JobEvent) => void;
}
