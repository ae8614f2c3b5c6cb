import type { JobGroup, JobGroupList } from '../../../client/index.js';
import type { Route } from '../route/route.js';
import { Fetched } from './fetched.svelte.js';
import { api } from './session.svelte.js';

type GroupsRoute = Extract<Route, { screen: 'groups' }>;

const PAGE = 20;
/** The pause between refetches, as a multiple of the time of the last one: the server counts all members of the page. */
const PAUSE_FACTOR = 10;

/** One page of groups. Its rows change in place; new groups are counted, and shown when the user asks for them. */
export class GroupList {
  readonly #response = new Fetched<JobGroupList>();
  rows: readonly JobGroup[] = $state.raw([]);
  newCount = $state(0);
  #route: GroupsRoute = { screen: 'groups', isUnfinished: false, before: null };
  #isFresh = true;
  #pausesUntil = -Infinity;
  #later: ReturnType<typeof setTimeout> | undefined;

  get isLoaded(): boolean {
    return this.#response.data !== undefined;
  }

  /** `before` of the next page. */
  get next(): string | null {
    return this.#response.data?.next_before ?? null;
  }

  get error(): unknown {
    return this.#response.error;
  }

  get isLoading(): boolean {
    return this.#response.isLoading;
  }

  async show(route: GroupsRoute): Promise<void> {
    this.#route = route;
    await this.reload();
  }

  async reload(): Promise<void> {
    this.#isFresh = true;
    await this.#response.load((signal) => this.#fetch(signal));
  }

  async refresh(): Promise<void> {
    const pauseMs = this.#pausesUntil - performance.now();
    clearTimeout(this.#later);
    if (pauseMs > 0) this.#later = setTimeout(() => void this.refresh(), pauseMs);
    else await this.#response.refresh((signal) => this.#fetch(signal));
  }

  stop(): void {
    clearTimeout(this.#later);
    this.#response.stop();
  }

  async #fetch(signal: AbortSignal): Promise<JobGroupList> {
    const { isUnfinished, before } = this.#route;
    const filter = { finished: isUnfinished ? false : undefined, before: before ?? undefined, limit: PAGE };
    const askedAt = performance.now();
    const response = await api.groups.list({ ...filter, signal });
    this.#pausesUntil = performance.now() + PAUSE_FACTOR * (performance.now() - askedAt);
    if (this.#isFresh || this.rows.length === 0) {
      this.rows = response.items;
      this.newCount = 0;
      this.#isFresh = false;
      return response;
    }
    const first = this.rows[0]!.id;
    const byId = new Map(response.items.map((group) => [group.id, group]));
    this.rows = await Promise.all(this.rows.map(async (row) => byId.get(row.id) ?? this.#refetch(row, signal)));
    this.newCount = before === null ? response.items.filter(({ id }) => id > first).length : 0;
    return response;
  }

  /** A group that the page no longer holds: it has finished, or newer ones have taken its place. */
  async #refetch(row: JobGroup, signal: AbortSignal): Promise<JobGroup> {
    return row.finished === null ? api.groups.get(row.id, { signal }).catch(() => row) : row;
  }
}
