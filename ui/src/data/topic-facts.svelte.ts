import type { JobStats, WorkerProcess } from '../../../client/index.js';
import { Fetched } from './fetched.svelte.js';
import { api } from './session.svelte.js';

/** A job that has run this many times longer than most of its topic is worth a sentence. */
const SLOW_FACTOR = 3;
/** A job that has run for less than this is not slow yet. */
const SLOW_MIN_MS = 10_000;

/** What the page of a job says about its topic: the timeout of the handler, and how long its jobs run. Read once. */
export class TopicFacts {
  readonly #workers = new Fetched<readonly WorkerProcess[]>();
  readonly #stats = new Fetched<JobStats>();
  #topic = $state('');

  /** The timeout of the handler; `undefined` if no live process has one, or if the processes differ. */
  readonly timeoutMs: number | undefined = $derived(this.#findTimeout());

  /** Loads the facts of a topic. @param isRunning whether the run times are of interest */
  load(topic: string, isRunning: boolean): void {
    if (topic !== this.#topic) {
      this.#topic = topic;
      this.#stats.clear();
      void this.#workers.load(async (signal) => (await api.workers({ signal })).items);
    }
    if (isRunning && !this.#stats.data && !this.#stats.error) {
      void this.#stats.refresh((signal) => api.stats({ topic }, { signal }));
    }
  }

  stop(): void {
    this.#workers.stop();
    this.#stats.stop();
  }

  /** Returns the median run time of the topic if a job that has run for `ms` is much slower than nearly all others. */
  usualMs(ms: number): number | null {
    const { p50 = 0, p95 = 0 } = this.#stats.data ?? {};
    return p95 > 0 && ms >= SLOW_MIN_MS && ms > p95 * SLOW_FACTOR ? p50 : null;
  }

  #findTimeout(): number | undefined {
    const live = (this.#workers.data ?? []).filter(({ is_alive }) => is_alive);
    const timeouts = live.flatMap(({ handlers }) =>
      handlers.filter(({ topic }) => topic === this.#topic).map(({ timeout_ms }) => timeout_ms),
    );
    return new Set(timeouts).size === 1 ? timeouts[0] : undefined;
  }
}
