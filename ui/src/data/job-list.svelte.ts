import type { Job, JobFilter, JobPage } from '../../../client/index.js';
import type { Filters } from '../route/route.js';
import { Fetched } from './fetched.svelte.js';
import { api } from './session.svelte.js';

/** Which page of which jobs. */
export interface ListPage {
  readonly filters: Filters;
  readonly size: number;
  readonly cursor: string | null;
}

/** One row that is shown. */
export interface Row {
  readonly job: Job;
  /** It does not match the filters any more. It stays where it is: rows never move under a hand. */
  readonly isGone: boolean;
}

/** The jobs that filters mean, as the API takes it. */
export function conditionsOf({ statuses, due, topics, q, errorKey, groupId, from, to }: Filters): JobFilter {
  return {
    status: statuses.length > 0 ? statuses : undefined,
    due: due === '' ? undefined : due === 'true',
    topic: topics.length > 0 ? topics : undefined,
    q: q.trim() || undefined,
    errorKey: errorKey || undefined,
    groupId: groupId || undefined,
    createdFrom: from || undefined,
    createdTo: to || undefined,
  };
}

/** One page of jobs. Once shown, its rows change in place; what is new is counted, and shown when asked for. */
export class JobList {
  readonly #page = new Fetched<JobPage>();
  rows: Row[] = $state.raw([]);
  /** Jobs that came since and would stand above the first row. */
  newCount = $state(0);
  #route: ListPage | undefined;
  #isRefreshing = false;
  /** Something has changed since the answer was asked for that is on its way. */
  #isOutdated = false;

  get page(): JobPage | undefined {
    return this.#page.data;
  }

  get error(): unknown {
    return this.#page.error;
  }

  get isLoading(): boolean {
    return this.#page.isLoading;
  }

  /** Shows the page that the address names. */
  async show(route: ListPage): Promise<void> {
    this.#route = route;
    await this.#page.load((signal) => api.list(this.#query(route), { signal }));
    if (this.#route !== route || this.#page.error !== undefined) return;
    this.newCount = 0;
    this.rows = (this.page?.items ?? []).map((job) => ({ job, isGone: false }));
    this.#catchUp();
  }

  async reload(): Promise<void> {
    if (this.#route) await this.show(this.#route);
  }

  /** Brings the rows up to date, without moving one. */
  async refresh(): Promise<void> {
    const route = this.#route;
    if (!route) return;
    this.#isOutdated = this.#isRefreshing || this.#page.isLoading;
    if (this.#isOutdated) return;
    this.#isRefreshing = true;
    try {
      await this.#refresh(route);
    } catch {
      // The stream says when the connection is gone; the next change brings the next try.
    } finally {
      this.#isRefreshing = false;
    }
    this.#catchUp();
  }

  #catchUp(): void {
    if (this.#isOutdated) void this.refresh();
  }

  async #refresh(route: ListPage): Promise<void> {
    const first = this.rows[0]?.job;
    const top = await api.list(this.#query(route));
    if (this.#route !== route) return;
    this.#page.data = top;
    if (!first) {
      if (top.items.length > 0) await this.reload();
      return;
    }
    const newer = route.cursor === null ? top.items.filter(({ id }) => id > first.id).length : 0;
    this.newCount = newer;
    // Below new jobs the page ends earlier: the rest of our rows is asked for by the time of the first one.
    const same = newer === 0 ? top : await api.list({ ...this.#query(route), ...this.#from(route, first) });
    if (this.#route === route) this.#merge(same);
  }

  #merge({ items, next_cursor }: JobPage): void {
    const byId = new Map(items.map((job) => [job.id, job]));
    const lastId = items.at(-1)?.id;
    this.rows = this.rows.map(({ job }) => {
      const isCovered = next_cursor === null || (lastId !== undefined && job.id >= lastId);
      return { job: byId.get(job.id) ?? job, isGone: !byId.has(job.id) && isCovered };
    });
    // A page that was not full has room below.
    const known = new Set(this.rows.map(({ job }) => job.id));
    const last = this.rows.at(-1)!.job.id;
    const below = items.filter(({ id }) => !known.has(id) && id < last);
    const room = Math.max(0, (this.#route?.size ?? 0) - this.rows.length);
    this.rows = [...this.rows, ...below.slice(0, room).map((job) => ({ job, isGone: false }))];
  }

  #query({ filters, size, cursor }: ListPage): JobFilter {
    return { ...conditionsOf(filters), limit: size, cursor: cursor ?? undefined };
  }

  /** Jobs are listed by their ids, which begin with the time of their creation. */
  #from({ filters }: ListPage, first: Job): JobFilter {
    const createdTo = new Date(Date.parse(first.created) + 1).toISOString();
    return { createdTo: filters.to !== '' && filters.to < createdTo ? filters.to : createdTo };
  }
}
