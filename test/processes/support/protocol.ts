import type { JobEvent, JobsOptions } from 'nestjs-jobs';

/** The address of a database. */
export type DatabaseAddress =
  { readonly type: 'postgres'; readonly url: string } | { readonly type: 'better-sqlite3'; readonly database: string };

/** The settings of a program. */
export interface ProgramSettings {
  readonly database: DatabaseAddress;
  readonly options?: JobsOptions;
  /** The number of engines in this process, on one store. Default 1. */
  readonly engines?: number;
  /** Size of the application's own PostgreSQL pool. Default 10. */
  readonly poolSize?: number;
  /** Starts an HTTP server. */
  readonly http?: boolean;
  /** The version of the application and the topics it has handlers for. */
  readonly version?: { readonly name: string; readonly topics: readonly string[] };
}

/** Instructions for the handler of a job. */
export interface Task {
  /** The number of attempts, from the first on, that wait until the test opens the gate. */
  readonly gated?: number;
  /** A handler that waits at the gate ends when its signal aborts. */
  readonly endsOnAbort?: boolean;
  /** The moment at which the first attempt kills its process: when a plain handler starts, or around the commit of a transaction. */
  readonly dies?: 'at start' | 'before commit' | 'after commit';
  /** Reports the start of every attempt. */
  readonly reports?: boolean;
  /** Where a gated handler of three steps waits: in a step after its effect, or after a step. */
  readonly gate?: { readonly in: string } | { readonly after: string };
  /** Each attempt logs a line before it waits. */
  readonly logs?: boolean;
}

/** Commands of a test to a program. */
export type Command =
  /** Opens the gate for all handlers. */
  | 'open'
  /** Stops the process by SIGSTOP while it holds no lock of a SQLite file. */
  | 'pause'
  /** Migrates a database. */
  | { readonly migrate: DatabaseAddress };

/** Reports of a program to its test. */
export type Report =
  | { readonly kind: 'ready' }
  /** `atNs`: the monotonic clock of the system, shared by all processes. */
  | { readonly kind: 'began'; readonly id: string; readonly attempt: number; readonly atNs: string }
  | { readonly kind: 'aborted'; readonly id: string; readonly attempt: number; readonly reason: string }
  | { readonly kind: 'returned'; readonly id: string; readonly attempt: number }
  /** `completeTx` rejected with this error code. */
  | { readonly kind: 'refused'; readonly id: string; readonly attempt: number; readonly code: string }
  | { readonly kind: 'event'; readonly event: JobEvent }
  | { readonly kind: 'draining' }
  | { readonly kind: 'closed' }
  | { readonly kind: 'migrated'; readonly error: string | null };
