import type { JobContext } from 'nestjs-jobs';

/** Waits until the job's signal aborts, and then throws its reason. */
export async function obey({ signal }: JobContext): Promise<never> {
  if (!signal.aborted) {
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  }
  throw signal.reason;
}
