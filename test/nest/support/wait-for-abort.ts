import type { JobContext } from 'nestjs-jobs';

/** Waits until the job's signal aborts and throws its reason. */
export async function waitForAbort({ signal }: JobContext): Promise<never> {
  if (!signal.aborted) {
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  }
  throw signal.reason;
}
