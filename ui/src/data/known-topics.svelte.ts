import type { TopicList } from '../../../client/index.js';
import { Fetched } from './fetched.svelte.js';
import { api } from './session.svelte.js';

/** Topics come rarely. */
const FRESH_MS = 20_000;

/** The topics that a filter or a form can offer, whether anybody runs them, and which are paused. */
class KnownTopics {
  readonly #list = new Fetched<TopicList>();
  readonly #byName = $derived(new Map(this.#list.data?.items.map((each) => [each.topic, each])));
  readonly names = $derived([...this.#byName.keys()]);
  #askedAt = -Infinity;

  get isLoaded(): boolean {
    return this.#list.data !== undefined;
  }

  /** Whether some process has its handler; `undefined` for a topic that is not known. */
  isHandled(topic: string): boolean | undefined {
    return this.#byName.get(topic)?.has_handler;
  }

  /** Since when none of its jobs is started; `null` unless it is known to be paused. */
  pausedSince(topic: string): string | null {
    return this.#byName.get(topic)?.paused_since ?? null;
  }

  /** Unless they are fresh. What fails here is missed by nobody: a topic can be typed as well. */
  load(): void {
    if (this.#list.error !== undefined || performance.now() - this.#askedAt >= FRESH_MS) this.refresh();
  }

  /** However fresh they are: something may have been done to one of them. */
  refresh(): void {
    this.#askedAt = performance.now();
    void this.#list.refresh((signal) => api.topics({ signal }));
  }
}

export const knownTopics = new KnownTopics();
