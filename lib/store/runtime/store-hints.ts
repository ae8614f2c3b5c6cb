/** Which of the other processes should claim: one that each of them computes from the hint, or all. */
export type Audience = 'one' | 'all';

/** A hint for one process. */
export interface OneWorkerHint {
  /** Decides which process it is. */
  readonly id: string;
  /** Stands for the worker that sent it, unless a producer did. It has no free slot for the jobs. */
  readonly sender: string | undefined;
}

/** Receives notifications of other processes. */
export interface StoreHints {
  /** Stands for this process in the hints that it sends, which every user of the database can read; `undefined` for a process that claims no jobs. */
  readonly worker?: string;
  /** Without a topic, any topic may have jobs. Without `hint`, the hint is for all processes. */
  onJobs(topic?: string, hint?: OneWorkerHint): void;
  /** The list of live processes has changed. */
  onWorkers(): void;
  onCancel(): void;
  /** A schedule may have changed. `isLikely`: a notification says so, and not only that something was committed. */
  onSchedules(isLikely: boolean): void;
  /** Notifications of other processes arrive, or do not arrive any more. `backend` identifies the listening connection. */
  onListening(isListening: boolean, backend?: number): void;
  /** The connection for notifications is open. */
  onConnected(): void;
  /** The connection for notifications could not be opened. It is tried again. */
  onConnectFailed(error: unknown): void;
}
