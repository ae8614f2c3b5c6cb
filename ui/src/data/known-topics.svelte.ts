import { api } from './session.svelte.js';

/** The names that a filter or a form can offer. */
class KnownTopics {
  names: string[] = $state.raw([]);
  #isAsked = false;

  /** Once for a visit. What fails here is missed by nobody: a topic can be typed as well. */
  load(): void {
    if (this.#isAsked) return;
    this.#isAsked = true;
    api
      .topics()
      .then(({ items }) => (this.names = items.map(({ topic }) => topic)))
      .catch(() => (this.#isAsked = false));
  }
}

export const knownTopics = new KnownTopics();
