import type { TopicStats } from '../../../client/index.js';
import { alarm } from './alarm.svelte.js';
import { Fetched } from './fetched.svelte.js';

/** New topics are rare. */
const FRESH_MS = 20_000;

/** The topics that filters and forms propose, whether a process handles them, and which are paused. */
class KnownTopics {
  readonly #list = new Fetched<readonly TopicStats[]>();
  readonly #byName = $derived(new Map(this.#list.data?.map((each) => [each.topic, each])));
  readonly names = $derived([...this.#byName.keys()]);
  #requestedAt = -Infinity;

  get isLoaded(): boolean {
    return this.#list.data !== undefined;
  }

  /** Whether a process has its handler; `undefined` for an unknown topic. */
  isHandled(topic: string): boolean | undefined {
    return this.#byName.get(topic)?.has_handler;
  }

  /** When the topic was paused; `null` if it is not paused or unknown. */
  pausedSince(topic: string): string | null {
    return this.#byName.get(topic)?.paused_since ?? null;
  }

  /** Loads the topics unless they are fresh. An error is not shown: the user can type a topic. */
  load(): void {
    if (this.#list.error !== undefined || performance.now() - this.#requestedAt >= FRESH_MS) this.refresh();
  }

  /** Loads the topics after an action may have changed one. */
  refresh(): void {
    this.#requestedAt = performance.now();
    void this.#list.refresh((signal) => alarm.readTopics(signal));
  }

  /** Discards the topics of the user who signs out. */
  forget(): void {
    this.#list.clear();
    this.#requestedAt = -Infinity;
  }
}

export const knownTopics = new KnownTopics();
