import { tick } from 'svelte';
import type { JobLogLevel, JobLogLine } from '../../../client/index.js';
import { api } from './session.svelte.js';

/** The most lines that a job can keep on one page of the API. */
const PAGE_LINES = 1_000;
/** The page shows this many lines, the newest. */
const LINES_MAX = 2_000;

/** Levels in the order of their weight. */
export const LOG_LEVELS: readonly JobLogLevel[] = ['debug', 'info', 'warn', 'error'];

/** The log lines of one job, read as they come. */
export class JobLog {
  lines: readonly JobLogLine[] = $state.raw([]);
  readonly #stop = new AbortController();
  /** The `id` of the newest line, as far as it is known. */
  #newest: string | null = null;
  #isReading = false;

  constructor(private readonly id: string) {}

  /** Reads the lines up to this one, unless they are read. An error is left to the next call. */
  async readTo(lastLine: string | null): Promise<void> {
    this.#newest = lastLine;
    if (this.#isReading) return;
    this.#isReading = true;
    try {
      while (this.#newest !== null && this.#newest !== this.lines.at(-1)?.id && (await this.#readPage()));
    } catch {
      // The page says elsewhere that the API does not respond.
    }
    this.#isReading = false;
  }

  stop(): void {
    this.#stop.abort();
  }

  /** Returns whether there were lines. */
  async #readPage(): Promise<boolean> {
    const after = this.lines.at(-1)?.id;
    const { items } = await api.logs(this.id, { after, limit: PAGE_LINES }, { signal: this.#stop.signal });
    this.lines = [...this.lines, ...items].slice(-LINES_MAX);
    await tick();
    return items.length > 0;
  }
}
