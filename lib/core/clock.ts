/**
 * Measures durations and schedules wake-ups inside the process. It has no time of day: only the database's clock
 * decides what is due and which lease has expired.
 */
export interface Clock {
  /** Returns milliseconds since a fixed moment. Never goes back. */
  now(): number;
  /** Calls `wake` once after `ms` milliseconds. A scheduled wake-up keeps the process alive. */
  schedule(ms: number, wake: () => void): ScheduledWake;
  /** Returns how many of the milliseconds of `now` the process was idle. If absent, the process counts as always idle. */
  eventLoopIdleMs?(): number;
}

/** A wake-up that was scheduled. */
export interface ScheduledWake {
  /** Cancels the wake-up. Does nothing if it has happened already. */
  cancel(): void;
}

/** Returns whether `work` ends within `ms` milliseconds. Work that takes longer continues. */
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
