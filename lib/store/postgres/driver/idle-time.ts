/** The part of `pg.Pool` that says how long it keeps what is idle. */
export interface IdlingPool {
  readonly options: { idleTimeoutMillis?: number | null | undefined };
}

/**
 * For so long the pool keeps a connection that is idle, in milliseconds. The driver's own ten seconds are less than the time
 * between two jobs of many applications, and a connection takes longer to make than a job to be stored and run.
 */
export const IDLE_MAX_MS = 60_000;
/** The same behind a pooler: in session mode it holds a connection of the server's for each of them. */
const LENT_IDLE_MAX_MS = 10_000;

/** Has it keep what is idle for as long as the driver would, unless the application has said how long. */
export function boundIdleTime({ options }: IdlingPool): void {
  if (options.idleTimeoutMillis === IDLE_MAX_MS) {
    options.idleTimeoutMillis = LENT_IDLE_MAX_MS;
  }
}
