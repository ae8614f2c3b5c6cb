import type { Job, JobGroup, Schedule, TopicStats, WorkerProcess } from '../../../client/index.js';
import type { Route } from '../route/route.js';
import { groupRoute, jobsRoute, topicRoute } from '../route/route.js';

export type PlaceKind = 'job' | 'topic' | 'schedule' | 'group' | 'worker' | 'search';

/** A page that a search finds. */
export interface Place {
  readonly kind: PlaceKind;
  readonly name: string;
  /** What tells it from others with the same name. */
  readonly detail: string;
  readonly route: Route;
}

/** What the search looks through. */
export interface Searched {
  readonly topics: readonly TopicStats[];
  readonly schedules: readonly Schedule[];
  readonly workers: readonly WorkerProcess[];
  readonly groups: readonly JobGroup[];
  /** Jobs with this unique key. */
  readonly jobs: readonly Job[];
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Whether a text is a whole id, whose page opens without a search. */
export function isJobId(text: string): boolean {
  return UUID.test(text);
}

/** Most places of one kind. */
const PLACES_MAX = 6;

/** Returns the pages that a text means: names that begin with it first. The last one is the search in all jobs. */
export function findPlaces({ topics, schedules, workers, groups, jobs }: Searched, text: string): Place[] {
  const wanted = text.trim().toLowerCase();
  if (wanted === '') return [];
  const places: readonly (readonly Place[])[] = [
    topics.map(({ topic }) => ({ kind: 'topic', name: topic, detail: '', route: topicRoute(topic) })),
    schedules.map(({ name, topic }) => ({
      kind: 'schedule',
      name,
      detail: topic,
      route: { screen: 'schedule', name },
    })),
    groups.map(({ id, name }) => ({ kind: 'group', name: name ?? id, detail: id, route: groupRoute(id) })),
    workers.map(({ worker, host }) => ({
      kind: 'worker',
      name: host,
      detail: worker,
      route: { screen: 'workers', worker },
    })),
  ];
  const matching = places.flatMap((each) =>
    each
      .filter(({ name, detail }) => `${name}\n${detail}`.toLowerCase().includes(wanted))
      .sort((one, other) => rank(one, wanted) - rank(other, wanted))
      .slice(0, PLACES_MAX),
  );
  const found = jobs
    .slice(0, PLACES_MAX)
    .map(({ id, topic }): Place => ({ kind: 'job', name: topic, detail: id, route: { screen: 'job', id } }));
  const search: Place = { kind: 'search', name: text.trim(), detail: '', route: jobsRoute({ q: text.trim() }) };
  const byId: Place[] = isJobId(wanted)
    ? [{ kind: 'job', name: wanted, detail: '', route: { screen: 'job', id: wanted } }]
    : [];
  return [...byId, ...found, ...matching, search];
}

function rank({ name }: Place, wanted: string): number {
  const at = name.toLowerCase().indexOf(wanted);
  return at < 0 ? Infinity : at;
}
