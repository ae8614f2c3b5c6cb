type Fetch<T> = (signal: AbortSignal) => Promise<T>;

/** A response of the API: its data or error, and whether a request is running. */
export class Fetched<T> {
  data: T | undefined = $state.raw(undefined);
  error: unknown = $state.raw(undefined);
  isLoading = $state(false);
  #running: AbortController | undefined;
  #next: Fetch<T> | undefined;

  /** Cancels the running request and sends this one. The old data stays until the response. */
  async load(fetch: Fetch<T>): Promise<void> {
    this.stop();
    this.isLoading = true;
    await this.#run(fetch);
  }

  /** Sends the request without showing that it loads. Waits for the running request first, whose data may be old. */
  async refresh(fetch: Fetch<T>): Promise<void> {
    if (this.#running) this.#next = fetch;
    else await this.#run(fetch);
  }

  /** Cancels the running request and removes data and error. */
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

  async #run(fetch: Fetch<T>): Promise<void> {
    const running = new AbortController();
    this.#running = running;
    try {
      const data = await fetch(running.signal);
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
