import type { LimitsRequest } from '../../../client/index.js';
import { messages } from '../messages/messages.js';
import { topicName } from '../text/visible-text.js';
import { notices } from './notices.svelte.js';
import { api } from './session.svelte.js';

/** What the reader does to topics. */
class TopicMoves {
  /** Being paused or resumed: a second press does nothing more. */
  readonly #moving = new Set<string>();
  /** Topics that this user has paused on this page and not resumed. */
  readonly ownPauses = new Set<string>();
  readonly #listeners = new Set<() => void>();
  /** Remove the notices that offer to take a pause back. */
  readonly #pauseNotices = new Map<string, () => void>();

  /** Calls the listener after each change that is made here, also while the page is held. @returns a function that unsubscribes */
  onMove(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async pause(topic: string): Promise<void> {
    this.ownPauses.add(topic);
    if (!(await this.#move(topic, () => api.pause(topic)))) {
      this.ownPauses.delete(topic);
      return;
    }
    const undo = (): void => void this.resume(topic);
    const text = messages.topics.pausedNotice(topicName(topic));
    this.#pauseNotices.set(topic, notices.show({ text, tone: 'neutral', undo }));
  }

  /** Jobs start at once, so that nothing could be taken back. */
  async resume(topic: string): Promise<void> {
    if (!(await this.#move(topic, () => api.resume(topic)))) return;
    this.ownPauses.delete(topic);
    this.#pauseNotices.get(topic)?.();
    notices.say(messages.topics.resumedNotice(topicName(topic)));
  }

  /** Sets limits; `null` lets those in the code apply again. @throws what the API throws */
  async setLimits(topic: string, limits: LimitsRequest | null): Promise<void> {
    await api.setLimits(topic, limits);
    const name = topicName(topic);
    notices.say(limits === null ? messages.topics.limitsReset(name) : messages.topics.limitsChanged(name));
    this.#listeners.forEach((listener) => listener());
  }

  /** @returns whether it was done */
  async #move(topic: string, call: () => Promise<void>): Promise<boolean> {
    if (this.#moving.has(topic)) return false;
    this.#moving.add(topic);
    try {
      await call();
    } catch (error) {
      notices.complain(error);
      return false;
    } finally {
      this.#moving.delete(topic);
    }
    this.#listeners.forEach((listener) => listener());
    return true;
  }
}

export const topicMoves = new TopicMoves();
