import { api } from './session.svelte.js';

/** Topics come rarely. */
const FRESH_MS = 20_000;

/** The topics that a filter or a form can offer, and whether anybody runs them. */
class KnownTopics {
  #handled: ReadonlyMap<string, boolean> | undefined = $state.raw();
  #askedAt = -Infinity;
  readonly names = $derived([...(this.#handled?.keys() ?? [])]);

  get isLoaded(): boolean {
    return this.#handled !== undefined;
  }

  /** Whether some process has its handler; `undefined` for a topic that is not known. */
  isHandled(topic: string): boolean | undefined {
    return this.#handled?.get(topic);
  }

  /** Unless they are fresh. What fails here is missed by nobody: a topic can be typed as well. */
  load(): void {
    if (performance.now() - this.#askedAt < FRESH_MS) return;
    this.#askedAt = performance.now();
    api
      .topics()
      .then(({ items }) => (this.#handled = new Map(items.map((each) => [each.topic, each.has_handler]))))
      .catch(() => (this.#askedAt = -Infinity));
  }
}

export const knownTopics = new KnownTopics();
