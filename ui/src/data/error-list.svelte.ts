import type { ErrorGroup, ErrorGroups } from '../../../client/index.js';
import { Fetched } from './fetched.svelte.js';
import { api } from './session.svelte.js';

/** One group that is shown. */
export interface ErrorRow {
  readonly group: ErrorGroup;
  /** None of its jobs is failed any more. It stays where it is until the list is asked for anew. */
  readonly isGone: boolean;
}

/** Groups of failed jobs. Once shown, they change in place; new ones stand below them, however frequent they are. */
export class ErrorList {
  readonly #answer = new Fetched<ErrorGroups>();
  rows: ErrorRow[] = $state.raw([]);
  #topic = '';
  #isFresh = true;

  /** How many failed jobs were looked at; `undefined` before the first answer. */
  get window(): ErrorGroups['window'] | undefined {
    return this.#answer.data?.window;
  }

  get error(): unknown {
    return this.#answer.error;
  }

  get isLoading(): boolean {
    return this.#answer.isLoading;
  }

  /** Shows the groups of a topic, or of all when it is empty, the most frequent first. */
  async show(topic: string): Promise<void> {
    this.#topic = topic;
    this.#isFresh = true;
    await this.#answer.load((signal) => this.#ask(signal));
  }

  /** Brings the groups up to date, without moving one. */
  async refresh(): Promise<void> {
    await this.#answer.refresh((signal) => this.#ask(signal));
  }

  async #ask(signal: AbortSignal): Promise<ErrorGroups> {
    const answer = await api.errors({ topic: this.#topic || undefined }, { signal });
    const known = this.#isFresh ? [] : this.rows.map(({ group }) => group);
    this.#isFresh = false;
    this.rows = merged(known, answer.items);
    return answer;
  }
}

/** The same topic and the same error. */
export function groupKey({ topic, key }: ErrorGroup): string {
  return `${topic} ${key}`;
}

function merged(known: readonly ErrorGroup[], items: readonly ErrorGroup[]): ErrorRow[] {
  const now = new Map(items.map((group) => [groupKey(group), group]));
  const before = new Set(known.map(groupKey));
  return [
    ...known.map((group) => ({
      group: now.get(groupKey(group)) ?? { ...group, count: 0 },
      isGone: !now.has(groupKey(group)),
    })),
    ...items.filter((group) => !before.has(groupKey(group))).map((group) => ({ group, isGone: false })),
  ];
}
