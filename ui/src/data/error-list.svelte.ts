import type { ErrorGroup, ErrorGroups } from '../../../client/index.js';
import { Fetched } from './fetched.svelte.js';
import { api } from './session.svelte.js';

/** A row of the list. */
export interface ErrorRow {
  readonly group: ErrorGroup;
  /** Whether none of its jobs has failed or waits for a retry any more. Its row stays until the user opens the list again. */
  readonly isGone: boolean;
}

export type ErrorSort = 'last_seen' | 'count';

/** Groups of jobs by their error. Rows change in place. New groups wait until the user asks for them. */
export class ErrorList {
  readonly #response = new Fetched<ErrorGroups>();
  rows: ErrorRow[] = $state.raw([]);
  /** Groups that have no row. */
  newCount = $state(0);
  #topic = '';
  #sort: ErrorSort = 'last_seen';
  #isFresh = true;

  /** How many jobs and groups there are; `undefined` before the first response. */
  get found(): Pick<ErrorGroups, 'window' | 'groups_total'> | undefined {
    return this.#response.data;
  }

  get error(): unknown {
    return this.#response.error;
  }

  get isLoading(): boolean {
    return this.#response.isLoading;
  }

  /** Shows the groups of a topic, or of all topics if it is empty. */
  async show(topic: string, sort: ErrorSort): Promise<void> {
    this.#topic = topic;
    this.#sort = sort;
    this.#isFresh = true;
    await this.#response.load((signal) => this.#fetch(signal));
  }

  /** Updates the groups in place. */
  async refresh(): Promise<void> {
    await this.#response.refresh((signal) => this.#fetch(signal));
  }

  async #fetch(signal: AbortSignal): Promise<ErrorGroups> {
    const response = await api.errors({ topic: this.#topic || undefined, sort: this.#sort }, { signal });
    const { items, groups_total: total } = response;
    if (this.#isFresh || this.rows.length === 0) {
      this.rows = items.map((group) => ({ group, isGone: false }));
    } else {
      this.rows = updated(this.rows, items, items.length === total);
    }
    this.#isFresh = false;
    const shown = new Set(this.rows.map(({ group }) => groupKey(group)));
    this.newCount = items.filter((group) => !shown.has(groupKey(group))).length;
    return response;
  }
}

/** Identifies a group by its topic and its error. */
export function groupKey({ topic, key }: ErrorGroup): string {
  return `${topic} ${key}`;
}

/** @param isWhole `items` are all groups, not only the first ones */
function updated(rows: readonly ErrorRow[], items: readonly ErrorGroup[], isWhole: boolean): ErrorRow[] {
  const now = new Map(items.map((group) => [groupKey(group), group]));
  return rows.map((row) => {
    const group = now.get(groupKey(row.group));
    if (group) return { group, isGone: false };
    return isWhole ? { group: { ...row.group, count: 0, retrying: 0 }, isGone: true } : row;
  });
}
