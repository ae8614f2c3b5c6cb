/** One answer of the API: what is known of it, and whether it is being asked for. */
export class Fetched<T> {
  data: T | undefined = $state.raw(undefined);
  error: unknown = $state.raw(undefined);
  isLoading = $state(false);
  #running: AbortController | undefined;

  /**
   * Asks. What was asked before does not matter any more. The old answer stays until the new one is there, and when
   * none comes; `isQuiet` leaves the marks of loading away, too.
   */
  async load(ask: (signal: AbortSignal) => Promise<T>, isQuiet = false): Promise<void> {
    this.#running?.abort();
    const running = new AbortController();
    this.#running = running;
    this.isLoading = !isQuiet;
    try {
      const data = await ask(running.signal);
      if (running.signal.aborted) return;
      this.data = data;
      this.error = undefined;
    } catch (error) {
      if (running.signal.aborted) return;
      this.error = error;
    }
    this.isLoading = false;
  }

  /** Forgets everything. */
  clear(): void {
    this.stop();
    this.data = undefined;
    this.error = undefined;
  }

  stop(): void {
    this.#running?.abort();
    this.isLoading = false;
  }
}
