import type { JobFilterStatus, JobStatus } from '../../../client/index.js';
import { ENDED_STATUSES, FILTER_STATUSES, JOB_STATUSES } from '../text/job-statuses.js';

export const PAGE_SIZES = [20, 50, 100, 200] as const;
const DEFAULT_SIZE = 50;
/** Windows of the charts, in minutes. */
export const WINDOWS = [60, 180, 360, 1440] as const;

/** What narrows the list of jobs. An empty text or list narrows nothing. */
export interface Filters {
  /** `retrying`: pending jobs that have used a retry. */
  statuses: JobFilterStatus[];
  /** Whether the time of pending jobs has come; then only these are shown. Not together with `errorKey`. */
  due: '' | 'true' | 'false';
  topics: string[];
  q: string;
  /** The key of a group of errors. Not together with `q`, which is left out then. */
  errorKey: string;
  /** The id of a group. Only on the page of the group, which lists its members. */
  groupId: string;
  /** Labels of which each job has all. Not together with `q`, `errorKey` or `due`, which are left out then. */
  labels: string[];
  /** ISO 8601, so that a link means the same in each time zone. */
  from: string;
  to: string;
  /** `finished`: failed and cancelled jobs, the last one that ended first. */
  order: '' | 'finished';
  /** When they ended at the earliest, as `from`. Only in that order. */
  ended: string;
}

/** What the address says is shown. */
export type Route =
  | { screen: 'overview'; minutes: number }
  | { screen: 'jobs'; filters: Filters; size: number; cursor: string | null }
  | { screen: 'job'; id: string }
  | { screen: 'topic'; topic: string; minutes: number }
  | { screen: 'errors'; topic: string; sort?: 'count' }
  | { screen: 'schedules' }
  | { screen: 'schedule'; name: string }
  | { screen: 'workers'; worker: string }
  | { screen: 'groups'; isUnfinished: boolean; before: string | null }
  | { screen: 'group'; id: string; status: JobStatus | ''; size: number; cursor: string | null }
  | { screen: 'unknown' };

export const NO_FILTERS: Filters = {
  statuses: [],
  due: '',
  topics: [],
  q: '',
  errorKey: '',
  groupId: '',
  labels: [],
  from: '',
  to: '',
  order: '',
  ended: '',
};

/** The list of jobs from its first page, with these filters. */
export function jobsRoute(filters: Partial<Filters> = {}, size: number = DEFAULT_SIZE): Route {
  return { screen: 'jobs', filters: { ...NO_FILTERS, ...filters }, size, cursor: null };
}

/** The page of a topic, with charts of the last hour. */
export function topicRoute(topic: string): Route {
  return { screen: 'topic', topic, minutes: 60 };
}

/** The newest groups. */
export const GROUPS_ROUTE: Route = { screen: 'groups', isUnfinished: false, before: null };

/** The page of a group, with its newest members. */
export function groupRoute(id: string, status: JobStatus | '' = ''): Route {
  return { screen: 'group', id, status, size: DEFAULT_SIZE, cursor: null };
}

/** Reads what follows the root of the UI: a path without a slash in front, and a query. What is not understood is left out. */
export function readRoute(path: string, query: string): Route {
  const [first = '', id, ...rest] = path.replace(/\/$/, '').split('/');
  const read = (id === undefined ? READERS : READERS_BY_ID).get(first);
  return read && id !== '' && rest.length === 0
    ? read(new URLSearchParams(query), decoded(id ?? ''))
    : { screen: 'unknown' };
}

type Reader = (params: URLSearchParams, id: string) => Route;

const READERS = new Map<string, Reader>([
  ['', (params) => ({ screen: 'overview', minutes: readMinutes(params) })],
  ['jobs', (params) => ({ screen: 'jobs', filters: readFilters(params), ...readPage(params) })],
  [
    'errors',
    (params) => ({
      screen: 'errors',
      topic: params.get('topic') ?? '',
      ...(params.get('sort') === 'count' && { sort: 'count' }),
    }),
  ],
  ['schedules', () => ({ screen: 'schedules' })],
  ['workers', (params) => ({ screen: 'workers', worker: params.get('worker') ?? '' })],
  [
    'groups',
    (params) => ({ screen: 'groups', isUnfinished: params.get('finished') === 'false', before: params.get('before') }),
  ],
]);

const READERS_BY_ID = new Map<string, Reader>([
  ['jobs', (_, id) => ({ screen: 'job', id })],
  ['topics', (params, topic) => ({ screen: 'topic', topic, minutes: readMinutes(params) })],
  ['schedules', (_, name) => ({ screen: 'schedule', name })],
  [
    'groups',
    (params, id) => {
      const status = member(JOB_STATUSES, params.get('status') as JobStatus, '');
      return { screen: 'group', id, status, ...readPage(params) };
    },
  ],
]);

/** Path and query behind the root: what {@link readRoute} reads. */
export function writeRoute(route: Route): string {
  const [path, query = {}] = (WRITERS[route.screen] as (route: Route) => Written)(route);
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    [value].flat().forEach((each) => each !== null && each !== '' && params.append(name, String(each)));
  }
  const text = params.toString();
  return text ? `${path}?${text}` : path || './';
}

/** A path, and parameters. Those that are empty or `null` are left out. */
type Written = [path: string, query?: Record<string, string | number | null | readonly string[]>];

const WRITERS: { readonly [S in Route['screen']]: (route: Extract<Route, { screen: S }>) => Written } = {
  overview: ({ minutes }) => ['', writeMinutes(minutes)],
  jobs: ({ filters, ...page }) => ['jobs', { ...writeFilters(filters), ...writePage(page) }],
  job: ({ id }) => [`jobs/${encodeURIComponent(id)}`],
  topic: ({ topic, minutes }) => [`topics/${encodeURIComponent(topic)}`, writeMinutes(minutes)],
  errors: ({ topic, sort = null }) => ['errors', { topic, sort }],
  schedules: () => ['schedules'],
  schedule: ({ name }) => [`schedules/${encodeURIComponent(name)}`],
  workers: ({ worker }) => ['workers', { worker }],
  groups: ({ isUnfinished, before }) => ['groups', { finished: isUnfinished ? 'false' : null, before }],
  group: ({ id, status, ...page }) => [`groups/${encodeURIComponent(id)}`, { status, ...writePage(page) }],
  unknown: () => [''],
};

function readMinutes(params: URLSearchParams): number {
  return member(WINDOWS, Number(params.get('minutes')), 60);
}

function writeMinutes(minutes: number): { minutes: number | null } {
  return { minutes: minutes === 60 ? null : minutes };
}

interface Page {
  readonly size: number;
  readonly cursor: string | null;
}

function readPage(params: URLSearchParams): Page {
  return { size: member(PAGE_SIZES, Number(params.get('size')), DEFAULT_SIZE), cursor: params.get('cursor') };
}

function writePage({ size, cursor }: Page): { size: number | null; cursor: string | null } {
  return { size: size === DEFAULT_SIZE ? null : size, cursor };
}

/** Whether nothing is narrowed. */
export function isUnfiltered({ statuses, topics, labels, ...texts }: Filters): boolean {
  return (
    [statuses, topics, labels].every(({ length }) => length === 0) && Object.values(texts).every((text) => text === '')
  );
}

/** As the API accepts it. */
const LABEL = /^[\w.:/-]{1,64}$/;

/** Returns which jobs to search: those with labels, else those of an error group, else those with a text. */
function readSearch(params: URLSearchParams): Pick<Filters, 'labels' | 'errorKey' | 'q'> {
  const labels = [...new Set(params.getAll('label').filter((label) => LABEL.test(label)))];
  if (labels.length > 0) {
    return { labels, errorKey: '', q: '' };
  }
  const errorKey = /^[0-9a-f]{32}$/.exec(params.get('error') ?? '')?.[0] ?? '';
  return { labels, errorKey, q: errorKey ? '' : (params.get('q') ?? '') };
}

function readFilters(params: URLSearchParams): Filters {
  const search = readSearch(params);
  const ended = moment(params.get('ended'));
  const order = ended || params.get('order') === 'finished' ? 'finished' : '';
  const due =
    search.labels.length > 0 || search.errorKey || order
      ? ''
      : member(['', 'true', 'false'] as const, params.get('due') as Filters['due'], '');
  const statuses = order ? ENDED_STATUSES : FILTER_STATUSES;
  return {
    statuses: due ? ['pending'] : statuses.filter((status) => params.getAll('status').includes(status)),
    due,
    topics: [...new Set(params.getAll('topic').filter(Boolean))],
    ...search,
    groupId: '',
    from: moment(params.get('from')),
    to: moment(params.get('to')),
    order,
    ended,
  };
}

function writeFilters(filters: Filters): NonNullable<Written[1]> {
  const { statuses, due, topics, labels, q, errorKey, from, to, order, ended } = filters;
  return {
    status: due ? [] : statuses,
    topic: topics,
    label: labels,
    due,
    q,
    error: errorKey,
    from,
    to,
    order: ended ? '' : order,
    ended,
  };
}

function moment(text: string | null): string {
  return text !== null && !Number.isNaN(Date.parse(text)) ? new Date(text).toISOString() : '';
}

function member<T, U>(values: readonly T[], value: T, otherwise: U): T | U {
  return values.includes(value) ? value : otherwise;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
