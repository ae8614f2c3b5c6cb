import type { JobStatus } from '../../../client/index.js';

export const JOB_STATUSES = ['pending', 'processing', 'completed', 'failed', 'cancelled'] as const;
export const PAGE_SIZES = [20, 50, 100, 200] as const;
const DEFAULT_SIZE = 50;
/** Windows of the charts, in minutes. */
export const WINDOWS = [60, 180, 360, 1440] as const;

/** What narrows the list of jobs. An empty text or list narrows nothing. */
export interface Filters {
  statuses: JobStatus[];
  /** Whether the time of pending jobs has come; then only these are shown. Not together with `errorKey`. */
  due: '' | 'true' | 'false';
  topics: string[];
  q: string;
  /** The key of a group of errors. Not together with `q`, which is left out then. */
  errorKey: string;
  /** `YYYY-MM-DDTHH:MM`, local time, as the input of a date gives it. */
  from: string;
  to: string;
}

/** What the address says is shown. */
export type Route =
  | { screen: 'overview'; minutes: number }
  | { screen: 'jobs'; filters: Filters; size: number; cursor: string | null }
  | { screen: 'job'; id: string }
  | { screen: 'errors'; topic: string }
  | { screen: 'schedules' }
  | { screen: 'schedule'; name: string }
  | { screen: 'workers'; worker: string }
  | { screen: 'unknown' };

export const NO_FILTERS: Filters = { statuses: [], due: '', topics: [], q: '', errorKey: '', from: '', to: '' };

/** The list of jobs from its first page, with these filters. */
export function jobsRoute(filters: Partial<Filters> = {}, size: number = DEFAULT_SIZE): Route {
  return { screen: 'jobs', filters: { ...NO_FILTERS, ...filters }, size, cursor: null };
}

/** Reads what follows the root of the UI: a path without a slash in front, and a query. What is not understood is left out. */
export function readRoute(path: string, query: string): Route {
  const [first = '', id, ...rest] = path.replace(/\/$/, '').split('/');
  const params = new URLSearchParams(query);
  if (rest.length > 0) return { screen: 'unknown' };
  if (first === 'jobs' && id) return { screen: 'job', id: decoded(id) };
  if (first === 'schedules') return id ? { screen: 'schedule', name: decoded(id) } : { screen: 'schedules' };
  if (id !== undefined) return { screen: 'unknown' };
  if (first === '') return { screen: 'overview', minutes: member(WINDOWS, Number(params.get('minutes')), 60) };
  if (first === 'errors') return { screen: 'errors', topic: params.get('topic') ?? '' };
  if (first === 'workers') return { screen: 'workers', worker: params.get('worker') ?? '' };
  if (first === 'jobs') {
    return {
      screen: 'jobs',
      filters: readFilters(params),
      size: member(PAGE_SIZES, Number(params.get('size')), DEFAULT_SIZE),
      cursor: params.get('cursor'),
    };
  }
  return { screen: 'unknown' };
}

/** Path and query behind the root: what {@link readRoute} reads. */
export function writeRoute(route: Route): string {
  const params = new URLSearchParams();
  switch (route.screen) {
    case 'overview':
      if (route.minutes !== 60) params.set('minutes', String(route.minutes));
      return withQuery('', params);
    case 'jobs':
      writeFilters(route.filters, params);
      if (route.size !== DEFAULT_SIZE) params.set('size', String(route.size));
      if (route.cursor !== null) params.set('cursor', route.cursor);
      return withQuery('jobs', params);
    case 'job':
      return `jobs/${encodeURIComponent(route.id)}`;
    case 'errors':
      if (route.topic) params.set('topic', route.topic);
      return withQuery('errors', params);
    case 'schedules':
      return 'schedules';
    case 'schedule':
      return `schedules/${encodeURIComponent(route.name)}`;
    case 'workers':
      if (route.worker) params.set('worker', route.worker);
      return withQuery('workers', params);
    case 'unknown':
      return '';
  }
}

/** Whether nothing is narrowed. */
export function isUnfiltered({ statuses, topics, ...texts }: Filters): boolean {
  return statuses.length === 0 && topics.length === 0 && Object.values(texts).every((text) => text === '');
}

function readFilters(params: URLSearchParams): Filters {
  const errorKey = /^[0-9a-f]{32}$/.exec(params.get('error') ?? '')?.[0] ?? '';
  const due = errorKey ? '' : member(['', 'true', 'false'] as const, params.get('due') as Filters['due'], '');
  return {
    statuses: due ? ['pending'] : JOB_STATUSES.filter((status) => params.getAll('status').includes(status)),
    due,
    topics: [...new Set(params.getAll('topic').filter(Boolean))],
    q: errorKey ? '' : (params.get('q') ?? ''),
    errorKey,
    from: moment(params.get('from')),
    to: moment(params.get('to')),
  };
}

function writeFilters({ statuses, due, topics, q, errorKey, from, to }: Filters, params: URLSearchParams): void {
  if (!due) statuses.forEach((status) => params.append('status', status));
  topics.forEach((topic) => params.append('topic', topic));
  for (const [name, value] of Object.entries({ due, q, error: errorKey, from, to })) {
    if (value) params.set(name, value);
  }
}

function moment(text: string | null): string {
  return text !== null && !Number.isNaN(Date.parse(text)) ? text : '';
}

function member<T>(values: readonly T[], value: T, otherwise: T): T {
  return values.includes(value) ? value : otherwise;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function withQuery(path: string, params: URLSearchParams): string {
  const text = params.toString();
  return text ? `${path}?${text}` : path || './';
}
