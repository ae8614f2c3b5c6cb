import { toErrorMessage } from '../../core/error-text.js';
import type { WatchedJob } from '../../core/job-reports.js';
import type { EngineParts } from '../runtime/engine-parts.js';
import { PollLoop } from '../runtime/poll-loop.js';

/** Receives a job whose row or log has changed. A listener that throws is logged. */
export type JobListener = (job: WatchedJob) => void;

const INTERVAL_MS = 1_000;

/**
 * Reads the watched jobs once a second, all in one statement, and reports those that have changed. Progress and log lines change no
 * count, so the change feed does not see them. Costs nothing while no job is watched.
 */
export class JobWatch {
  /** By job id, each listener with the fingerprint that it last received. */
  private readonly listeners = new Map<string, Map<JobListener, string>>();
  private readonly loop: PollLoop;

  constructor(private readonly parts: Pick<EngineParts, 'store' | 'clock' | 'logger' | 'failureLog' | 'random'>) {
    this.loop = new PollLoop({
      ...parts,
      name: 'watch of jobs',
      intervalMs: INTERVAL_MS,
      work: () => this.read(),
    });
  }

  /** Adds a listener. It receives the job at once. @returns a function that removes it, which may be called twice. */
  watch(id: string, listener: JobListener): () => void {
    const ofJob = this.listeners.get(id) ?? new Map<JobListener, string>();
    this.listeners.set(id, ofJob.set(listener, ''));
    this.loop.start();
    this.loop.wake();
    return () => {
      if (ofJob.delete(listener) && ofJob.size === 0) {
        this.listeners.delete(id);
      }
      if (this.listeners.size === 0) {
        void this.loop.stop();
      }
    };
  }

  /** Removes all listeners. */
  async close(): Promise<void> {
    this.listeners.clear();
    await this.loop.stop();
  }

  private async read(): Promise<void> {
    const ids = [...this.listeners.keys()];
    const found = new Map((await this.parts.store.logs.watched(ids)).map((job) => [job.id, job]));
    for (const id of ids) {
      this.report(found.get(id) ?? { id, status: 'deleted', updated: null, lastLine: null });
    }
  }

  private report(job: WatchedJob): void {
    const ofJob = this.listeners.get(job.id) ?? new Map<JobListener, string>();
    const fingerprint = [job.status, job.updated?.getTime(), job.lastLine].join(' ');
    for (const [listener, seen] of [...ofJob]) {
      if (seen !== fingerprint && ofJob.has(listener)) {
        ofJob.set(listener, fingerprint);
        try {
          listener(job);
        } catch (error) {
          this.parts.logger.error(`listener of job ${job.id} threw: ${toErrorMessage(error)}`);
        }
      }
    }
  }
}
