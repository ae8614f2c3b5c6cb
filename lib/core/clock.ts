/**
 * The only source of time inside the process. It measures durations and wakes sleepers; it never says what time of day
 * it is: due times and leases are compared by the database's clock alone.
 */
export interface Clock {
  /** Milliseconds since some fixed moment; never goes back. */
  now(): number;
  /** Calls `wake` once after `ms` milliseconds. A wake-up that is waited for keeps the process alive. */
  schedule(ms: number, wake: () => void): ScheduledWake;
  /** In how many of the milliseconds that `now` counts the process has had nothing to do. Absent: in all of them. */
  idleMs?(): number;
}

/** A wake-up that has not happened yet. */
export interface ScheduledWake {
  /** Forgets it; harmless when it has happened already. */
  cancel(): void;
}

/** Whether `work` ends within `ms` milliseconds. It goes on if it does not. */
export async function endsWithin(clock: Clock, ms: number, work: Promise<unknown>): Promise<boolean> {
  let timer: ScheduledWake | undefined;
  const timeout = new Promise<false>((resolve) => {
    timer = clock.schedule(ms, () => resolve(false));
  });
  try {
    return await Promise.race([work.then(() => true as const), timeout]);
  } finally {
    timer?.cancel();
  }
}
