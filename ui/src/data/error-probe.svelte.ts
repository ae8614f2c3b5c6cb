import { JobsApiError } from '../../../client/index.js';
import type { ErrorGroup, Job } from '../../../client/index.js';
import { notices } from './notices.svelte.js';
import { api } from './session.svelte.js';

const POLL_MS = 1_500;

/** One job of an error group, retried to see whether it still fails. */
export class ErrorProbe {
  /** `none`: no job of the group was left, or it has been deleted. */
  state: 'running' | 'completed' | 'failed' | 'none' = $state('running');
  /** The job; empty before it is known. */
  jobId = $state('');
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isStopped = false;

  /** Re-queues a failed job of the group. If there is none, runs one that waits for its retry. */
  async start({ topic, key, count }: ErrorGroup): Promise<void> {
    const [action, status] = count > 0 ? (['requeue', 'failed'] as const) : (['promote', 'retrying'] as const);
    try {
      const result = await api.bulk({ action, filter: { topic, errorKey: key, status }, max: 1 });
      this.jobId = result.sample_ids[0] ?? '';
      if (this.jobId) await this.#watch(Date.parse(result.as_of));
      else this.state = 'none';
    } catch (error) {
      notices.complain(error);
      this.state = 'none';
    }
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  async #watch(sinceMs: number): Promise<void> {
    try {
      this.state = toProbeState(await api.get(this.jobId), sinceMs);
    } catch (error) {
      // The server may be away for a moment.
      if (error instanceof JobsApiError && error.status === 404) this.state = 'none';
    }
    if (this.state === 'running' && !this.#isStopped) {
      this.#timer = setTimeout(() => void this.#watch(sinceMs), POLL_MS);
    }
  }
}

function toProbeState({ status, errors }: Job, sinceMs: number): ErrorProbe['state'] {
  if (status === 'completed') return 'completed';
  // A job that fails may wait for its next retry.
  if (Date.parse(errors.at(-1)?.finished ?? '') >= sinceMs) return 'failed';
  return status === 'pending' || status === 'processing' ? 'running' : 'none';
}
