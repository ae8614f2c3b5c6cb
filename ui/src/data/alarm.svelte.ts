import type { TopicStats } from '../../../client/index.js';
import type { Attention } from './attention.js';
import { listAttention } from './attention.js';
import { serverClock } from './server-clock.svelte.js';
import { api, session } from './session.svelte.js';
import { topicMoves } from './topic-moves.js';

/** The time between two requests on screens that show no topics. */
const INTERVAL_MS = 15_000;

/** The topics that need attention. The overview lists them, and each tab marks its title and icon. */
class Alarm {
  items: readonly Attention[] = $state.raw([]);
  /** When the topics were read, by the clock of the server. */
  readAt = $state(0);
  #askedAt = -Infinity;

  readonly isOn = $derived(this.items.length > 0);
  /** Stands before the title of each screen. */
  readonly mark = $derived(this.isOn ? '⚠ ' : '');

  /** Returns the topics of the API, and learns from them. */
  async readTopics(signal?: AbortSignal): Promise<readonly TopicStats[]> {
    this.#askedAt = Date.now();
    const { generation } = session;
    const { items } = await api.topics({ signal });
    if (generation !== session.generation) return [];
    this.readAt = serverClock.now;
    this.items = listAttention(items, topicMoves.ownPauses);
    return items;
  }

  /** Reads the topics, unless they have been read a moment ago. An error is not shown: the screen shows its own. */
  async refresh(): Promise<void> {
    if (Date.now() - this.#askedAt >= INTERVAL_MS) await this.readTopics().catch(() => undefined);
  }

  /** Discards what the user has seen before the sign-out. */
  forget(): void {
    this.items = [];
    this.#askedAt = -Infinity;
  }
}

export const alarm = new Alarm();
