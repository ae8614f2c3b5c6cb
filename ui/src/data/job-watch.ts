import type { StreamJob } from '../../../client/index.js';
import { api } from './session.svelte.js';

/** The pause before it opens a rejected stream again. */
const REFUSED_PAUSE_MS = 5_000;

/** Calls `onChange` with the state of a job, at once and after each change. @returns a function that ends it */
export function watchJob(id: string, onChange: (job: StreamJob) => void): () => void {
  const leave = new AbortController();
  const { signal } = leave;
  const listen = async (): Promise<void> => {
    try {
      for await (const job of api.watch(id, { signal })) onChange(job);
    } catch {
      // The server rejects it, for example because the job is gone.
      setTimeout(() => signal.aborted || void listen(), REFUSED_PAUSE_MS);
    }
  };
  void listen();
  return () => leave.abort();
}
