import { api } from './session.svelte.js';

/** Topics come rarely. */
const FRESH_MS = 20_000;

/** The names that a filter or a form can offer. */
class KnownTopics {
  names: string[] = $state.raw([]);
  #askedAt = -Infinity;

  /** Unless they are fresh. What fails here is missed by nobody: a topic can be typed as well. */
  load(): void {
    if (performance.now() - this.#askedAt < FRESH_MS) return;
    this.#askedAt = performance.now();
    api
      .topics()
      .then(({ items }) => (this.names = items.map(({ topic }) => topic)))
      .catch(() => (this.#askedAt = -Infinity));
  }
}

export const knownTopics = new KnownTopics();
