type Ask<T> = (signal: AbortSignal) => Promise<T>;

/** One answer of the API: what is known of it, and whether it is being asked for. */
export class Fetched<T> {
  data: T | undefined = $state.raw(undefined);
  error: unknown = $state.raw(undefined);
  isLoading = $state(false);
  #running: AbortController | undefined;
  #next: Ask<T> | undefined;

  /** Asks. What was asked before does not matter any more. The old answer stays until the new one is there, or none comes. */
  async load(ask: Ask<T>): Promise<void> {
    this.stop();
    this.isLoading = true;
    await this.#run(ask);
  }

  /**
   * Asks the same anew, without the marks of loading. What is being asked is waited for, since its answer is better than
   * none; it may be old already, so that the question follows once more.
   */
  async refresh(ask: Ask<T>): Promise<void> {
    if (this.#running) this.#next = ask;
    else await this.#run(ask);
  }

  /** Forgets everything. */
  clear(): void {
    this.stop();
    this.data = undefined;
    this.error = undefined;
  }

  stop(): void {
    this.#running?.abort();
    this.#running = undefined;
    this.#next = undefined;
    this.isLoading = false;
  }

  async #run(ask: Ask<T>): Promise<void> {
    const running = new AbortController();
    this.#running = running;
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
    const next = this.#next;
    this.#running = undefined;
    this.#next = undefined;
    if (next) void this.#run(next);
  }
}
