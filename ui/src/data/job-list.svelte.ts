import { untrack } from 'svelte';
import { SvelteMap } from 'svelte/reactivity';
import type { Job, JobFilter, JobPage, JobStatus } from '../../../client/index.js';
import { JobsApiError } from '../../../client/index.js';
import type { Filters } from '../route/route.js';
import { Fetched } from './fetched.svelte.js';
import { api, session } from './session.svelte.js';

/** Which page of which jobs. */
export interface ListPage {
  readonly filters: Filters;
  readonly size: number;
  readonly cursor: string | null;
}

/** One row that is shown. */
export interface Row {
  readonly job: Job;
  /** Its status when it last matched the filters. */
  readonly listedStatus: JobStatus;
  /** When it had ended then. */
  readonly listedEnd: string | null;
  /** It does not match the filters any more. It stays where it is: rows never move under a hand. */
  readonly isGone: boolean;
  readonly isDeleted: boolean;
}

/** A list as the user left it. */
interface KeptList {
  readonly route: string;
  readonly page: JobPage;
  readonly rows: readonly Row[];
  readonly newCount: number;
}

/** How many jobs that no longer match the filters are requested at a time. */
const GONE_MAX = 20;
const KEPT_MAX = 10;
/** By entry of the browser's history, the oldest first. */
const keptLists = new SvelteMap<string, KeptList>();

/** The jobs of a list that the user has left, in the order of its rows. Empty after a reload of the page. */
export function readKeptIds(key: string): readonly string[] {
  return keptLists.get(key)?.rows.map(({ job }) => job.id) ?? [];
}

/** Removes all jobs from memory, so that the next user does not see them after a sign-out. */
export function forgetLists(): void {
  keptLists.clear();
}

/** Converts filters to the filter of a bulk action. */
export function toConditions(filters: Filters): JobFilter {
  const { statuses, due, topics, q, errorKey, groupId, labels, from, to, ended } = filters;
  return {
    status: statuses.length > 0 ? statuses : undefined,
    due: due === '' ? undefined : due === 'true',
    topic: topics.length > 0 ? topics : undefined,
    q: q.trim() || undefined,
    errorKey: errorKey || undefined,
    groupId: groupId || undefined,
    label: labels.length > 0 ? labels : undefined,
    createdFrom: from || undefined,
    createdTo: to || undefined,
    finishedFrom: ended || undefined,
  };
}

/** Converts filters to the filter of a list. */
export function toListFilter(filters: Filters): JobFilter {
  return { ...toConditions(filters), order: filters.order || undefined };
}

/** Returns a text that sorts rows as the list does, in reverse: the first row has the greatest text. */
function toSortText({ job: { id }, listedEnd }: Row, { order }: Filters): string {
  return order ? `${listedEnd} ${id}` : id;
}

/** One page of jobs. Once shown, its rows change in place; what is new is counted, and shown when asked for. */
export class JobList {
  readonly #page = new Fetched<JobPage>();
  rows: Row[] = $state.raw([]);
  /** Jobs that came since and would stand above the first row. */
  newCount = $state(0);
  #route: ListPage | undefined;
  /** Of the session that has read the rows. */
  #generation = session.generation;
  #isRefreshing = false;
  /** Something has changed since the pending request was sent. */
  #isOutdated = false;
  /** The refresh in which the page last requested the job of a row that is gone. */
  readonly #turns = new Map<string, number>();
  #turn = 0;

  get page(): JobPage | undefined {
    return this.#page.data;
  }

  get error(): unknown {
    return this.#page.error;
  }

  get isLoading(): boolean {
    return this.#page.isLoading;
  }

  /** Shows the page of the address. @param key the entry of the history, for a list that {@link keep} kept */
  async show(route: ListPage, key?: string): Promise<void> {
    this.#route = route;
    this.#generation = session.generation;
    const kept = key === undefined ? undefined : untrack(() => keptLists.get(key));
    if (kept?.route === JSON.stringify(route)) await this.#restore(kept);
    else await this.#load(route);
  }

  /** Keeps the rows for an entry of the history that the user leaves. */
  keep(key: string): void {
    const isOfSession = this.#generation === session.generation;
    if (!isOfSession || !this.#route || !this.page || this.isLoading || this.error !== undefined) return;
    const { page, rows, newCount } = this;
    keptLists.delete(key);
    keptLists.set(key, { route: JSON.stringify(this.#route), page, rows, newCount });
    if (keptLists.size > KEPT_MAX) keptLists.delete([...keptLists.keys()][0]!);
  }

  async reload(): Promise<void> {
    if (this.#route) await this.#load(this.#route);
  }

  async #restore({ page, rows, newCount }: KeptList): Promise<void> {
    this.#page.clear();
    this.#page.data = page;
    this.rows = [...rows];
    this.newCount = newCount;
    await this.refresh();
  }

  async #load(route: ListPage): Promise<void> {
    await this.#page.load((signal) => api.list(this.#query(route), { signal }));
    if (this.#route !== route || this.#page.error !== undefined) return;
    this.newCount = 0;
    this.rows = (this.page?.items ?? []).map(toRow);
    this.#catchUp();
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
    const first = this.rows[0];
    const top = await api.list(this.#query(route));
    if (this.#route !== route) return;
    this.#page.data = top;
    if (!first) {
      if (top.items.length > 0) await this.reload();
      return;
    }
    const toPlace = (row: Row): string => toSortText(row, route.filters);
    const isNewer = (job: Job): boolean => toPlace(toRow(job)) > toPlace(first);
    const newer = route.cursor === null ? top.items.filter(isNewer).length : 0;
    this.newCount = newer;
    // Below new jobs the page ends earlier: the rest of our rows is asked for by the time of the first one.
    const same = newer === 0 ? top : await api.list({ ...this.#query(route), ...this.#from(route, first) });
    if (this.#route !== route) return;
    this.#merge(same, toPlace);
    await this.#refreshGone(route);
  }

  #merge({ items, next_cursor }: JobPage, toPlace: (row: Row) => string): void {
    const byId = new Map(items.map((job) => [job.id, job]));
    items.forEach(({ id }) => this.#turns.delete(id));
    const listedRows = items.map(toRow);
    const lastListed = listedRows.at(-1);
    this.rows = this.rows.map((row) => {
      const listed = byId.get(row.job.id);
      const isCovered = next_cursor === null || (lastListed !== undefined && toPlace(row) >= toPlace(lastListed));
      return listed ? toRow(listed) : { ...row, isGone: isCovered };
    });
    // A page that was not full has room below.
    const known = new Set(this.rows.map(({ job }) => job.id));
    const last = toPlace(this.rows.at(-1)!);
    const below = listedRows.filter((row) => !known.has(row.job.id) && toPlace(row) < last);
    const room = Math.max(0, (this.#route?.size ?? 0) - this.rows.length);
    this.rows = [...this.rows, ...below.slice(0, room)];
  }

  /** Requests the jobs that no longer match the filters, so that each row shows the current status. */
  async #refreshGone(route: ListPage): Promise<void> {
    const ids = this.rows.filter((row) => this.#mayHaveChanged(row)).map(({ job }) => job.id);
    const getTurn = (id: string): number => this.#turns.get(id) ?? 0;
    const asked = ids.sort((one, other) => getTurn(one) - getTurn(other)).slice(0, GONE_MAX);
    this.#isOutdated ||= ids.some((id) => !this.#turns.has(id) && !asked.includes(id));
    this.#turn += 1;
    asked.forEach((id) => this.#turns.set(id, this.#turn));
    const jobs = new Map(await Promise.all(asked.map(async (id) => [id, await getJob(id)] as const)));
    if (this.#route !== route) return;
    this.rows = this.rows.map((row) => {
      const job = row.isGone ? jobs.get(row.job.id) : undefined;
      return job === undefined ? row : { ...row, job: job ?? row.job, isDeleted: job === null };
    });
  }

  /** The page requests a job that has ended only once. */
  #mayHaveChanged({ job, isGone, isDeleted }: Row): boolean {
    const hasEnded = job.status !== 'pending' && job.status !== 'processing';
    return isGone && !isDeleted && !(hasEnded && this.#turns.has(job.id));
  }

  #query({ filters, size, cursor }: ListPage): JobFilter {
    return { ...toListFilter(filters), limit: size, cursor: cursor ?? undefined };
  }

  /** Jobs are listed by their end, or by their ids, which begin with the time of their creation. */
  #from({ filters }: ListPage, { job: first, listedEnd }: Row): JobFilter {
    if (filters.order && listedEnd) {
      return { finishedTo: new Date(Date.parse(listedEnd) + 1).toISOString() };
    }
    const createdTo = new Date(Date.parse(first.created) + 1).toISOString();
    return { createdTo: filters.to !== '' && filters.to < createdTo ? filters.to : createdTo };
  }
}

function toRow(job: Job): Row {
  return { job, listedStatus: job.status, listedEnd: job.finished, isGone: false, isDeleted: false };
}

/** Returns `null` if the job has been deleted, and `undefined` if the request fails. */
async function getJob(id: string): Promise<Job | null | undefined> {
  try {
    return await api.get(id);
  } catch (error) {
    return error instanceof JobsApiError && error.status === 404 ? null : undefined;
  }
}
