import type { ErrorGroup, ErrorGroups } from '../../../client/index.js';
import { Fetched } from './fetched.svelte.js';
import { api } from './session.svelte.js';

/** A row of the list. */
export interface ErrorRow {
  readonly group: ErrorGroup;
  /** Whether none of its jobs has failed or waits for a retry any more. Its row stays until the user opens the list again. */
  readonly isGone: boolean;
}

/** Groups of jobs by their error. Rows change in place. New groups are added at the end. */
export class ErrorList {
  readonly #response = new Fetched<ErrorGroups>();
  rows: ErrorRow[] = $state.raw([]);
  #topic = '';
  #isFresh = true;

  /** How many failed jobs the API has grouped; `undefined` before the first response. */
  get window(): ErrorGroups['window'] | undefined {
    return this.#response.data?.window;
  }

  get error(): unknown {
    return this.#response.error;
  }

  get isLoading(): boolean {
    return this.#response.isLoading;
  }

  /** Shows the groups of a topic, or of all topics if it is empty. The most frequent is first. */
  async show(topic: string): Promise<void> {
    this.#topic = topic;
    this.#isFresh = true;
    await this.#response.load((signal) => this.#fetch(signal));
  }

  /** Updates the groups in place. */
  async refresh(): Promise<void> {
    await this.#response.refresh((signal) => this.#fetch(signal));
  }

  async #fetch(signal: AbortSignal): Promise<ErrorGroups> {
    const response = await api.errors({ topic: this.#topic || undefined }, { signal });
    const known = this.#isFresh ? [] : this.rows.map(({ group }) => group);
    this.#isFresh = false;
    this.rows = merged(known, response.items);
    return response;
  }
}

/** Identifies a group by its topic and its error. */
export function groupKey({ topic, key }: ErrorGroup): string {
  return `${topic} ${key}`;
}

function merged(known: readonly ErrorGroup[], items: readonly ErrorGroup[]): ErrorRow[] {
  const now = new Map(items.map((group) => [groupKey(group), group]));
  const before = new Set(known.map(groupKey));
  return [
    ...known.map((group) => ({
      group: now.get(groupKey(group)) ?? { ...group, count: 0, retrying: 0 },
      isGone: !now.has(groupKey(group)),
    })),
    ...items.filter((group) => !before.has(groupKey(group))).map((group) => ({ group, isGone: false })),
  ];
}
