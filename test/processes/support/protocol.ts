import type { JobEvent, JobsOptions } from 'nestjs-jobs';

/** Where a database is. */
export type DatabaseAddress =
  { readonly type: 'postgres'; readonly url: string } | { readonly type: 'better-sqlite3'; readonly database: string };

/** What a program is started with. */
export interface ProgramSettings {
  readonly database: DatabaseAddress;
  readonly options?: JobsOptions;
  /** How many engines run in this process, on one store. Default 1. */
  readonly engines?: number;
  /** Size of the application's own PostgreSQL pool. Default 10. */
  readonly poolSize?: number;
  /** Whether the Nest application has an HTTP server. */
  readonly http?: boolean;
  /** Which version of the application it is, and for which topics that one has handlers. */
  readonly version?: { readonly name: string; readonly topics: readonly string[] };
}

/** What a job asks of its handler. */
export interface Task {
  /** As many attempts, from the first on, wait until the test opens the gate of their process. */
  readonly gated?: number;
  /** Whether a handler that waits at the gate ends when it is told to. */
  readonly obeys?: boolean;
  /** Where the first attempt kills its own process. */
  readonly dies?: 'before commit' | 'after commit';
  /** Whether to report the beginning, whatever else it asks. */
  readonly reports?: boolean;
}

/** What a test says to a program. */
export type Command =
  /** Lets go the handlers at the gate, and all that come later. */
  | 'open'
  /** The process stops itself with SIGSTOP, at a moment when it holds no lock of a SQLite file. */
  | 'pause'
  /** Migrates a database. */
  | { readonly migrate: DatabaseAddress };

/** What a program says to its test. */
export type Report =
  | { readonly kind: 'ready' }
  /** `atNs`: the system's monotonic clock, the same in all processes of a machine. */
  | { readonly kind: 'began'; readonly id: string; readonly attempt: number; readonly atNs: string }
  | { readonly kind: 'aborted'; readonly id: string; readonly attempt: number; readonly reason: string }
  | { readonly kind: 'returned'; readonly id: string; readonly attempt: number }
  /** `completeTx` refused, with the code of its error. */
  | { readonly kind: 'refused'; readonly id: string; readonly attempt: number; readonly code: string }
  | { readonly kind: 'event'; readonly event: JobEvent }
  | { readonly kind: 'draining' }
  | { readonly kind: 'closed' }
  | { readonly kind: 'migrated'; readonly error: string | null };
