import { api } from './session.svelte.js';

/** The names that a filter or a form can offer. */
class KnownTopics {
  names: string[] = $state.raw([]);

  /** What fails here is missed by nobody: a topic can be typed as well. */
  load(): void {
    api.topics().then(
      ({ items }) => (this.names = items.map(({ topic }) => topic)),
      () => undefined,
    );
  }
}

export const knownTopics = new KnownTopics();
